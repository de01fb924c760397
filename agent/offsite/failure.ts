/** Why the bucket could not be used, told apart by what mends it. */
import { AgentError, exitCodes } from "../failure.ts";

export type FailureKind =
	| "clock"
	| "credentials"
	| "permission"
	| "bucket"
	| "region"
	| "encryption key"
	| "unreachable"
	| "transfer"
	| "server"
	| "conflict"
	| "local file"
	| "other";

/** A failure of the bucket or on the way to it. */
export class OffsiteError extends AgentError {
	readonly kind: FailureKind;

	constructor(kind: FailureKind, message: string) {
		const isAboutKeys = kind === "credentials" || kind === "permission";
		super(message, isAboutKeys ? exitCodes.credentials : exitCodes.failed);
		this.kind = kind;
	}

	/** Whether it is about this one recovery point, so that others may still succeed. */
	get concernsOne(): boolean {
		return this.kind === "conflict" || this.kind === "local file";
	}
}

/** An error of the SDK, of the service or of the connection. */
interface ServiceError extends Error {
	readonly code?: string;
	readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
	readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const bringKey = "bring a valid one: see offsiteCredentials in the settings, then ./docker-dev.sh up";

/** What errors mean, by name, code or HTTP status; the first that fits. `{}` is the destination. */
const meanings: readonly {
	readonly names?: RegExp;
	readonly status?: (status: number) => boolean;
	readonly kind: FailureKind;
	readonly what: string;
	readonly mend?: string;
}[] = [
	{
		names: /^(RequestTimeTooSkewed|RequestExpired|RequestInTheFuture)$/,
		kind: "clock",
		what: "the server of {} refuses requests of this host's time: its clock {clock} the server's",
		mend: "set the clock: timedatectl set-ntp true",
	},
	{
		names: /^InvalidAccessKeyId$|UserNotFound$/,
		kind: "credentials",
		what: "the server of {} does not know the access key",
		mend: bringKey,
	},
	{
		names: /^SignatureDoesNotMatch$/,
		kind: "credentials",
		what: "the secret key does not belong to the access key, says the server of {}",
		mend: bringKey,
	},
	{
		names: /^(ExpiredToken|ExpiredTokenException|InvalidToken|TokenRefreshRequired)$/,
		kind: "credentials",
		what: "the key for {} has expired",
		mend: bringKey,
	},
	{
		names: /^(CredentialsProviderError|TokenProviderError)$/,
		kind: "credentials",
		what: "there is no key for {}",
		mend: bringKey,
	},
	{
		names: /^KMS\b|^Kms/,
		kind: "encryption key",
		what: "the key that encrypts {} cannot be used",
		mend: "see that it is enabled and that the writer may use it",
	},
	{
		names: /^(NoSuchBucket|InvalidBucketName)$/,
		kind: "bucket",
		what: "the bucket of {} does not exist, or not any more",
		mend: "make it again with ./docker-dev.sh up, or mend offsiteBucket in the settings",
	},
	{
		names: /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/,
		status: (status) => status === 301,
		kind: "region",
		what: "{} is in another region than the settings say",
		mend: "mend offsiteRegion, then ./docker-dev.sh up",
	},
	{
		names: /^(AccessDenied|AllAccessDisabled|AccountProblem|NotSignedUp)$/,
		status: (status) => status === 401 || status === 403,
		kind: "permission",
		what: "the server of {} does not allow this: it knows the key, and the rights are not enough",
		mend: "compare them with those of the stack's writer",
	},
	{
		names: /^(BadDigest|InvalidDigest|XAmzContentSHA256Mismatch|XAmzContentChecksumMismatch)$/,
		kind: "transfer",
		what: "bytes were changed on the way to {}, and the server refused them",
	},
	{
		names: /^(SlowDown|ServiceUnavailable|InternalError)$/,
		status: (status) => status === 429 || status >= 500,
		kind: "server",
		what: "the server of {} fails",
	},
	{
		// What reaches the agent without a status never came from a server.
		names: /^(E[A-Z]{3,}(_AGAIN)?|TimeoutError|ERR_(TLS|SSL|STREAM|SOCKET)_.*|CERT_.*|.*_CERT(_.*)?)$/,
		kind: "unreachable",
		what: "the server of {} cannot be reached, or the connection was cut",
	},
];

/** @param destination where it was to go. */
export function explainOffsite(error: unknown, destination: string): AgentError {
	if (error instanceof AgentError) return error;
	const { name, code, message, $metadata, $response } = error as ServiceError;
	const status = $metadata?.httpStatusCode;
	const meaning = meanings.find(
		(one) =>
			one.names?.test(name) ||
			(code !== undefined && one.names?.test(code)) ||
			(status !== undefined && one.status?.(status)),
	);
	const { kind = "other", what = "{} cannot be used", mend } = meaning ?? {};
	const tries = ($metadata?.attempts ?? 1) > 1 ? `, after ${$metadata?.attempts} tries` : "";
	const said = [name === "Error" ? code : name, message].filter(Boolean).join(": ");
	const text = what.replace("{}", destination).replace("{clock}", clockDifference($response?.headers?.date));
	return new OffsiteError(kind, `${text} (${said}${tries})${mend ? `; ${mend}` : ""}`);
}

/** Whether the server does not have this function at all. */
export function isNotImplemented(error: unknown): boolean {
	const { name, $metadata } = error as ServiceError;
	return name === "NotImplemented" || $metadata?.httpStatusCode === 501;
}

export function isNotFound(error: unknown): boolean {
	return ["NotFound", "NoSuchKey"].includes((error as Error).name);
}

/** Whether the rights are not enough; the answer to a HEAD request has no word for it but the status. */
export function isForbidden(error: unknown): boolean {
	return (error as ServiceError).$metadata?.httpStatusCode === 403;
}

/** Whether an object is at the key already, or is being put there by somebody else just now. */
export function isTaken(error: unknown): boolean {
	const status = (error as ServiceError).$metadata?.httpStatusCode;
	return status === 412 || status === 409;
}

/** How this host's clock stands to the one that gave a date. */
export function clockDifference(date: string | undefined, now = Date.now()): string {
	const seconds = Math.round((now - Date.parse(date ?? "")) / 1000);
	if (!(Math.abs(seconds) >= 1)) return "differs from";
	const amount = Math.abs(seconds);
	const [count, unit] =
		amount >= 7200
			? [amount / 3600, "hours"]
			: amount >= 120
				? [amount / 60, "minutes"]
				: [amount, "seconds"];
	return `is ${Math.round(count)} ${unit} ${seconds > 0 ? "ahead of" : "behind"}`;
}
