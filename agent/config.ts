/** What the sidecar is told: one JSON value for the policy, and the connections as the backend has them. */
import { readFileSync } from "node:fs";
import * as z from "zod";
import { type VolumeKey, volumeCatalogue } from "../components/catalogue.ts";
import { defaultGraceMinutes } from "../recovery/freshness.ts";
import { AgentError, exitCodes } from "./failure.ts";

const days = z.number().int().min(0);
const cron = z.string().min(1);

const alarmsSchema = z.strictObject({
	/** Files with the addresses, which are secrets; absent: nobody is told. */
	webhookFile: z.string().optional(),
	pingFile: z.string().optional(),
	/** Whether the webhook hears of scheduled backups that were good. */
	onSuccess: z.boolean().default(true),
	/** Share of a disk, in percent, that may be in use. */
	diskPercent: z.number().min(1).max(100).default(85),
	/** GiB that a volume may hold. */
	volumeGb: z.number().positive().default(10),
	/** Seconds between two looks at the files. */
	intervalSeconds: z.number().positive().default(60),
	/** Hours until an alarm that goes on is told again. */
	reminderHours: z.number().positive().default(24),
	/** Seconds before each further try to deliver a message; after the last one it is given up. */
	retrySeconds: z.array(z.number().positive()).default([5, 30, 120, 600, 3600]),
});

/** Where recovery points go besides the disk: a bucket of AWS S3 or of any service that speaks it. */
const offsiteSchema = z.strictObject({
	bucket: z.string().min(1),
	region: z.string().min(1),
	/** Keys are `<prefix>/<stack>/<file>`. */
	prefix: z.string().regex(/^[\w-]+(\/[\w-]+)*$/),
	/** Address of a service that is not AWS. */
	endpoint: z.url().optional(),
	forcePathStyle: z.boolean().default(false),
	/** `when_required` leaves out the checksums that some services do not understand. */
	checksumMode: z.enum(["when_supported", "when_required"]).default("when_supported"),
	/** Days after which a copy may be tagged as superseded. */
	retentionDays: days,
	/** `file`: in the form of ~/.aws/credentials, profile `default`; `instance`: the machine's role. */
	credentials: z.discriminatedUnion("source", [
		z.strictObject({ source: z.literal("file"), file: z.string().min(1) }),
		z.strictObject({ source: z.literal("instance") }),
	]),
	/** Key that objects are encrypted with. Absent: as the bucket says. */
	kmsKeyId: z.string().min(1).optional(),
	/** How the bucket locks a new copy; it does so by itself. */
	objectLock: z.strictObject({ mode: z.enum(["governance", "compliance"]), days }).optional(),
	/** Size of the parts that a large file is sent in; larger where it would be more than 10,000 of them. */
	partMebibytes: z.number().int().min(5).max(128).default(16),
	/** How often a request is tried before the upload fails. */
	attempts: z.number().int().min(1).default(8),
	/** Seconds before the second try; each later one waits twice as long, up to 20 s. */
	pauseSeconds: z.number().min(0).default(0.5),
	/** Minutes before an upload that failed is tried again; the last one repeats. */
	retryMinutes: z.array(z.number().min(0)).min(1).default([5, 15, 60]),
	/** Seconds for which a connection may carry nothing before it counts as cut. */
	idleSeconds: z.number().min(1).default(120),
});

export type OffsiteConfig = z.infer<typeof offsiteSchema>;

const configSchema = z.strictObject({
	stack: z.string().regex(/^[\w.-]+$/),
	timeZone: z.string().default("UTC"),
	/** Cron expressions in the time zone; null: never. */
	schedules: z
		.strictObject({
			daily: cron.nullable().default("0 2 * * *"),
			weekly: cron.nullable().default("0 3 * * 0"),
		})
		.prefault({}),
	retentionDays: z.strictObject({
		daily: days,
		weekly: days,
		manual: days,
		safety: days,
	}),
	minimumCopies: z.number().int().min(1),
	compression: z.enum(["gzip", "zstd"]).default("gzip"),
	/** Public keys of age. Empty: not encrypted. */
	recipients: z.array(z.string().regex(/^(age1|ssh-)[^\n]+$/)).default([]),
	/** Minutes that a run may be late before the container is unhealthy. */
	graceMinutes: z.number().min(1).default(defaultGraceMinutes),
	/** Seconds that a scheduled run waits for somebody else's lock. */
	lockWaitSeconds: z.number().min(0).default(1800),
	/** Minutes until a scheduled run that did not succeed is tried again; the last counts for every further try. */
	retryMinutes: z.array(z.number().positive()).default([5, 15, 60]),
	/** Seconds that the dump waits for a table somebody has locked. */
	tableLockSeconds: z.number().int().min(1).default(60),
	alarms: alarmsSchema.prefault({}),
	/** Port of `/healthz` and `/metrics`; 0: none. */
	metricsPort: z.number().int().min(0).max(65535).default(0),
	offsite: offsiteSchema.optional(),
	backupDirectory: z.string().default("/backups"),
	dataDirectory: z.string().default("/data"),
	/** Where a drill restores to; can be written by everybody. */
	scratchDirectory: z.string().default("/scratch"),
});

export type AgentConfig = z.infer<typeof configSchema> & {
	readonly database: DatabaseConnection;
	readonly redis: RedisConnection;
};

export interface DatabaseConnection {
	readonly host: string;
	readonly port: number;
	readonly name: string;
	readonly user: string;
	readonly passwordFile: string;
}

export interface RedisConnection {
	readonly host: string;
	readonly port: number;
	/** Empty: Redis's default user. */
	readonly user: string;
	readonly passwordFile: string;
}

/** An archive of files in a recovery point. */
export interface FileSet {
	/** Name of the part, and of the directory under `dataDirectory`. */
	readonly name: string;
	/** Key of its volume in the catalogue. */
	readonly volume: VolumeKey;
	readonly directory: string;
}

/** @throws AgentError naming the variable and what is wrong with it. */
export function readConfig(environment: NodeJS.ProcessEnv): AgentConfig {
	const text = environment.AGENT_CONFIG;
	if (!text)
		throw new AgentError(
			"AGENT_CONFIG is not set: it is the JSON of the stack's backup policy",
			exitCodes.usage,
		);
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		throw new AgentError(`AGENT_CONFIG is not JSON: ${(error as Error).message}`, exitCodes.usage);
	}
	const parsed = configSchema.safeParse(value);
	if (!parsed.success) {
		const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
		throw new AgentError(`AGENT_CONFIG is wrong: ${problems.join("; ")}`, exitCodes.usage);
	}
	try {
		new Intl.DateTimeFormat("en", { timeZone: parsed.data.timeZone });
	} catch {
		throw new AgentError(`AGENT_CONFIG: there is no time zone ${parsed.data.timeZone}`, exitCodes.usage);
	}
	return {
		...parsed.data,
		database: {
			host: environment.DATABASE_HOST ?? "db",
			port: Number(environment.DATABASE_PORT ?? 5432),
			name: environment.DATABASE_NAME ?? "backend_db",
			user: environment.DATABASE_USER ?? "postgres",
			passwordFile: environment.DATABASE_PASSWORD_FILE ?? "/run/secrets/database_password",
		},
		redis: {
			host: environment.REDIS_HOST ?? "redis",
			port: Number(environment.REDIS_PORT ?? 6379),
			user: environment.REDIS_USER ?? "",
			passwordFile: environment.REDIS_PASSWORD_FILE ?? "/run/secrets/redis_password",
		},
	};
}

/** Volumes that the catalogue wants archived, without the prefix of their service: media, static. */
export function fileSets(config: AgentConfig): FileSet[] {
	return volumeCatalogue
		.filter((entry) => entry.backup === "file-archive")
		.map((entry) => ({ name: entry.key.replace(`${entry.service}-`, ""), volume: entry.key }))
		.map((set) => ({ ...set, directory: `${config.dataDirectory}/${set.name}` }));
}

/**
 * A password from its file. A line end is not part of it: editors and `echo` add one, and the server then
 * refuses a password that looks right.
 */
export function readSecret(file: string, warn: (message: string) => void): string {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		throw new AgentError(
			`the password file ${file} cannot be read (${(error as Error).message}); nothing was dumped. Run up, which brings the secrets`,
			exitCodes.credentials,
		);
	}
	const secret = text.replace(/[\r\n]+$/, "");
	if (secret !== text) warn(`the password file ${file} ends with a line end, which was left out`);
	if (secret === "")
		throw new AgentError(`the password file ${file} is empty; nothing was dumped`, exitCodes.credentials);
	return secret;
}
