import type { StackSettings } from "./settings.ts";

/** Where the sidecar finds its offsite key, in the form of ~/.aws/credentials, profile `default`. */
export const offsiteCredentialsPath = "/run/secrets/offsite_credentials";

/** Lifecycle rules expire only objects that carry this tag, and only the agent sets it. */
export const supersededTag = { key: "superseded", value: "true" } as const;

/** What the sidecar is told of the offsite destination: the value of `offsite` in AGENT_CONFIG. */
export interface OffsitePolicy {
	readonly bucket: string;
	readonly region: string;
	/** Keys are `<prefix>/<stack>/<file>`. */
	readonly prefix: string;
	/** Address of a service that is not AWS. */
	readonly endpoint?: string;
	readonly forcePathStyle?: boolean;
	readonly checksumMode?: StackSettings["offsiteChecksumMode"];
	/** Days after which a copy may be tagged as superseded, if the floor of newer ones is there. */
	readonly retentionDays: number;
	/** From a file in the form of ~/.aws/credentials, or from the machine's role. */
	readonly credentials: { readonly source: "file"; readonly file: string } | { readonly source: "instance" };
	/** Key that objects are to be encrypted with, where it is not the stack's own; the bucket's default is the same. */
	readonly kmsKeyId?: string;
	/** Object Lock of a new copy, which the bucket sets by itself. */
	readonly objectLock?: { readonly mode: "governance" | "compliance"; readonly days: number };
}

/** What the keys of a stack's copies begin with, without the slash at its end. */
export function keyPrefix(stack: string, { offsitePrefix }: Pick<StackSettings, "offsitePrefix">): string {
	return `${offsitePrefix}/${stack}`;
}

/** What `adopt` names besides the stack's buckets. */
export function adoptedVolumes(settings: StackSettings): string[] {
	return settings.adopt.filter(
		(name) => name !== settings.offsiteBucket && name !== settings.offsiteReplicaBucket,
	);
}

/** The offsite destination of a stack, as its agent is told it; undefined where there is none. */
export function offsitePolicy(settings: StackSettings): OffsitePolicy | undefined {
	if (!settings.offsite) return undefined;
	return {
		bucket: settings.offsiteBucket,
		// Services that know no regions are signed for with the first one's name.
		region: settings.offsiteRegion || "us-east-1",
		prefix: settings.offsitePrefix,
		...(settings.offsiteEndpoint && {
			endpoint: settings.offsiteEndpoint,
			forcePathStyle: settings.offsitePathStyle,
			checksumMode: settings.offsiteChecksumMode,
		}),
		retentionDays: settings.offsiteRetentionDays,
		credentials:
			settings.offsiteCredentials === "instance"
				? { source: "instance" }
				: { source: "file", file: offsiteCredentialsPath },
		...(settings.offsiteKmsKey && { kmsKeyId: settings.offsiteKmsKey }),
		...(settings.offsiteObjectLock !== "off" && {
			objectLock: { mode: settings.offsiteObjectLock, days: settings.offsiteObjectLockDays },
		}),
	};
}
