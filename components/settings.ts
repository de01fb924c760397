/**
 * Stack settings: the one schema of everything that `Pulumi.<stack>.yaml` may say, and its parser.
 *
 * The typed block in `Pulumi.yaml` and the README's table are made from `settingDefinitions`, and tests
 * assert that they are equal. This module imports nothing of Pulumi, so that commands which need no engine
 * start fast.
 */
import * as z from "zod";
import { alarmContradictions, alarmDefinitions, isOpenSecret, secretSettings } from "./alarm-settings.ts";
import { offsiteContradictions } from "./offsite-rules.ts";
import { offsiteDefinitions } from "./offsite-settings.ts";
import { days, define, path, type SettingDefinition, type ValuesOf } from "./setting-definition.ts";
import { SettingsError, type SettingsProblem } from "./settings-error.ts";

/** Name of the Pulumi project, and so the namespace of every setting. */
export const projectName = "persistent-stack";

const memory = (service: string, byDefault: number) =>
	define<number>({
		type: "integer",
		description: `Memory limit of the ${service} container in MiB.`,
		default: byDefault,
		schema: z.number().int().min(64).max(1_048_576),
		fix: "write a whole number of MiB, 64 or more",
	});

const imagePattern = /^$|^[a-z0-9][\w./:@-]*$/;
const image = (description: string, whenEmpty = "as imageSource says") =>
	define<string>({
		type: "string",
		description: `${description} Empty: ${whenEmpty}.`,
		default: "",
		schema: z.string().regex(imagePattern),
		fix: "write an image name such as registry/name:tag, or leave it empty",
	});

const schedule = (description: string, byDefault: string) =>
	define<string>({
		type: "string",
		description,
		default: byDefault,
		schema: z.string().regex(/^$|^@(yearly|annually|monthly|weekly|daily|hourly)$|^(\S+\s+){4,5}\S+$/),
		fix: "write a cron expression such as 0 2 * * *, or leave it empty",
	});

export const settingDefinitions = {
	prefix: define<string>({
		type: "string",
		description: "Prefix of container, network and volume names. Empty: app in dev, app-<stack> elsewhere.",
		default: "",
		schema: z.string().regex(/^$|^[a-z0-9][a-z0-9-]{0,39}$/),
		fix: "write up to 40 lower-case letters, digits and hyphens, beginning with a letter or digit",
	}),
	mode: define<"development" | "production">({
		type: "string",
		description: "development: source bind-mounted, reload. production: built files, code from the image.",
		default: "production",
		schema: z.enum(["development", "production"]),
		fix: "write development or production",
	}),
	removalPolicy: define<"remove" | "retain" | "protect">({
		type: "string",
		description:
			"What a destroy does to critical and important volumes: remove them, retain them, or protect: refuse.",
		default: "protect",
		schema: z.enum(["remove", "retain", "protect"]),
		fix: "write remove, retain or protect",
	}),
	adopt: define<string[]>({
		type: "array",
		description:
			"Names of existing volumes, and of its own offsite buckets, not made by this stack, that it may take over with their data.",
		default: [],
		schema: z.array(z.string().regex(/^[a-zA-Z0-9][\w.-]+$/)),
		fix: 'write a list of volume names, such as ["app-postgres-data"]',
	}),
	bindAddress: define<string>({
		type: "string",
		description: "Address at which the proxy listens on the host.",
		default: "127.0.0.1",
		schema: z.union([z.ipv4(), z.ipv6()]),
		fix: "write an IP address of this host, such as 127.0.0.1, or 0.0.0.0 for all of them",
	}),
	port: define<number>({
		type: "integer",
		description: "Port at which the proxy listens on the host; the only published port.",
		default: 8080,
		schema: z.number().int().min(1).max(65535),
		fix: "write a port from 1 to 65535",
	}),
	allowedHosts: define<string[]>({
		type: "array",
		description: "Host names at which the application may be addressed; 127.0.0.1 and localhost always are.",
		default: [],
		schema: z.array(z.string().regex(/^[a-zA-Z0-9.*-]+$/)),
		fix: 'write a list of host names, such as ["app.example.com"]',
	}),
	maxUploadMb: define<number>({
		type: "integer",
		description: "Largest request body that the proxy accepts, in MiB.",
		default: 100,
		schema: z.number().int().min(1).max(102_400),
		fix: "write a whole number of MiB from 1 to 102400",
	}),
	labels: define<string[]>({
		type: "array",
		description:
			"Further labels of containers, volumes and networks, name=value; volumes and networks keep those they were made with.",
		default: [],
		schema: z.array(z.string().regex(/^(?!persistent-stack\.)[a-z0-9][a-z0-9._/-]*=.*$/)),
		fix: 'write a list of name=value, such as ["team=billing"]; names of persistent-stack.* are taken',
	}),
	imageSource: define<"auto" | "official" | "stand-in">({
		type: "string",
		description:
			"official images, stand-ins built from Debian packages, or auto: what this machine recorded at its first up, official where nothing is recorded.",
		default: "official",
		schema: z.enum(["auto", "official", "stand-in"]),
		fix: "write auto, official or stand-in",
	}),
	postgresImage: image("Image of PostgreSQL 17."),
	redisImage: image("Image of Redis 8."),
	proxyImage: image("Image of nginx."),
	pythonImage: image("Base image of the sample backend."),
	nodeImage: image("Base image of the sample frontend."),
	backendImage: image("Image of your own backend.", "it is built from backendContext"),
	backendContext: path("Build context of the backend.", "app/backend"),
	backendDockerfile: path("Dockerfile of the backend.", "images/backend/Dockerfile"),
	backendMigrateCommand: define<string>({
		type: "string",
		description:
			"Command that migrates the database, run in the new image before the backend is replaced. Empty: none.",
		default: "python manage.py migrate --noinput",
		schema: z.string(),
		fix: "write a shell command, or leave it empty",
	}),
	backendHealthPath: define<string>({
		type: "string",
		description: "Path at which the backend answers 200 when it, its database and its cache are well.",
		default: "/api/healthz",
		schema: z.string().regex(/^\/[\w./-]*$/),
		fix: "write a path that begins with /",
	}),
	backendEnvironment: define<string[]>({
		type: "array",
		description:
			"Further environment variables of the backend, NAME=value; no secrets: docker inspect shows them.",
		default: [],
		schema: z.array(z.string().regex(/^[A-Za-z_]\w*=.*$/s)),
		fix: 'write a list of NAME=value, such as ["FEATURE_X=1"]',
	}),
	frontendImage: image("Image of your own frontend.", "it is built from frontendContext"),
	frontendContext: path("Build context of the frontend.", "app/frontend"),
	frontendDockerfile: path("Dockerfile of the frontend.", "images/frontend/Dockerfile"),
	dbMemoryMb: memory("db", 1024),
	redisMemoryMb: memory("redis", 256),
	backendMemoryMb: memory("backend", 512),
	frontendMemoryMb: memory("frontend", 1024),
	proxyMemoryMb: memory("proxy", 128),
	backupMemoryMb: memory("backup", 256),
	backupDirectory: path("Directory of the recovery points on the Docker host; mode 700.", "./backups"),
	backupSchedule: schedule("Cron expression of the daily backup; empty: never.", "0 2 * * *"),
	weeklyBackupSchedule: schedule("Cron expression of the weekly backup; empty: never.", "0 3 * * 0"),
	timeZone: define<string>({
		type: "string",
		description: "Time zone of the schedules and of the times in file names, an IANA name.",
		default: "UTC",
		schema: z.string().refine(isTimeZone),
		fix: "write a time zone such as UTC or Europe/Berlin",
	}),
	backupCompression: define<"gzip" | "zstd">({
		type: "string",
		description: "gzip, which tar -xzf opens, or zstd, which is smaller in the same time.",
		default: "gzip",
		schema: z.enum(["gzip", "zstd"]),
		fix: "write gzip or zstd",
	}),
	backupRecipients: define<string[]>({
		type: "array",
		description: "Public keys of age or ssh that recovery points are encrypted to; none: not encrypted.",
		default: [],
		schema: z.array(z.string().regex(/^(age1[a-z0-9]+|ssh-(ed25519|rsa) [^\n]+)$/)),
		fix: 'write a list of public keys, such as ["age1…"], as age-keygen prints them',
	}),
	retentionDays: days("Days for which daily recovery points are kept locally.", 30),
	weeklyRetentionDays: days("Days for which weekly recovery points are kept locally.", 28),
	manualRetentionDays: days("Days for which recovery points made by hand are kept locally.", 30),
	safetyRetentionDays: days(
		"Days for which recovery points made before a migration or restore are kept.",
		14,
	),
	minimumCopies: define<number>({
		type: "integer",
		description: "Verified full recovery points that retention never goes below, whatever their age.",
		default: 3,
		schema: z.number().int().min(1).max(1000),
		fix: "write a whole number from 1 to 1000",
	}),
	diskWarnPercent: define<number>({
		type: "integer",
		description:
			"Used share of a disk, in percent, from which doctor and status warn, and an alarm is given.",
		default: 85,
		schema: z.number().int().min(1).max(100),
		fix: "write a whole number of percent from 1 to 100",
	}),
	volumeWarnGb: define<number>({
		type: "integer",
		description: "Size of a volume, in GiB, from which doctor and status warn, and an alarm is given.",
		default: 10,
		schema: z.number().int().min(1).max(1_048_576),
		fix: "write a whole number of GiB, 1 or more",
	}),
	...offsiteDefinitions,
	...alarmDefinitions,
};

/** Name and value of a setting's `name=value`; the value may hold further equals signs. */
export function splitAssignment(text: string): [name: string, value: string] {
	const equals = text.indexOf("=");
	return [text.slice(0, equals), text.slice(equals + 1)];
}

function isTimeZone(name: string): boolean {
	try {
		new Intl.DateTimeFormat("en", { timeZone: name });
		return true;
	} catch {
		return false;
	}
}

export type SettingKey = keyof typeof settingDefinitions;
export type StackSettings = ValuesOf<typeof settingDefinitions>;

/**
 * Parses what the stack files say.
 *
 * @param stack name of the stack.
 * @param raw values as Pulumi hands them to a program: strings, with anything structured as JSON; keys with
 *   the project's namespace. Keys of other namespaces (providers) are left alone.
 * @param encrypted those keys whose values the stack file holds encrypted.
 * @throws SettingsError naming every wrong key with its value, unless that is a secret, and the fix, all at once.
 */
export function parseSettings(
	stack: string,
	raw: Readonly<Record<string, string>>,
	encrypted: ReadonlySet<string> = new Set(),
): StackSettings {
	const problems: SettingsProblem[] = [];
	const parsed: Record<string, unknown> = {};
	const given = new Map(
		Object.entries(raw)
			.filter(([key]) => key.startsWith(`${projectName}:`))
			.map(([key, value]) => [key.slice(projectName.length + 1), value]),
	);
	for (const [key, definition] of Object.entries(settingDefinitions) as [
		SettingKey,
		SettingDefinition<unknown>,
	][]) {
		const text = given.get(key);
		given.delete(key);
		if (text === undefined) {
			parsed[key] = definition.default;
			continue;
		}
		const result = definition.schema.safeParse(readValue(definition.type, text));
		const secret = secretSettings.has(key);
		const value = secret ? "(not shown)" : text;
		if (!result.success) problems.push({ key, value, fix: definition.fix });
		else if (secret && isOpenSecret(text) && !encrypted.has(`${projectName}:${key}`)) {
			problems.push({ key, value, fix: secretFix(key) });
		} else parsed[key] = result.data;
	}
	for (const [key, value] of given) problems.push({ key, value, fix: unknownKeyFix(key) });
	const settings = parsed as StackSettings;
	if (problems.length === 0)
		problems.push(...offsiteContradictions(settings), ...alarmContradictions(settings));
	if (problems.length > 0) throw new SettingsError(stack, problems);
	return { ...settings, prefix: settings.prefix || (stack === "dev" ? "app" : `app-${stack}`) };
}

/** The value of a setting from Pulumi's string; something no schema accepts when it is not of the type. */
function readValue(type: SettingDefinition<unknown>["type"], text: string): unknown {
	if (type === "string") return text;
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

function secretFix(key: string): string {
	return `a secret does not belong into a file as plain text; run pulumi config set --secret ${projectName}:${key}, or write file:PATH of a file of mode 600 that holds it`;
}

function unknownKeyFix(key: string): string {
	const known = Object.keys(settingDefinitions);
	const near = known.find(
		(name) => name.toLowerCase().replace(/[-_]/g, "") === key.toLowerCase().replace(/[-_]/g, ""),
	);
	return near ? `there is no such setting; write ${near}` : "there is no such setting; remove the line";
}
