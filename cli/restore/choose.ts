/** What the operator asks to be restored, read from the command line; nothing is looked into. */

import { newestToRestore } from "../../recovery/points.ts";
import { type RedisChoice, type RestoreTarget, restoreTargets } from "../../recovery/restore-journal.ts";
import { type BackupFile, credentialsFile, findBackupFile, identityFile } from "../backup-file.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { exitCodes, StackError } from "../errors.ts";
import { damageOf, newestOf, readPoints } from "../recovery-points.ts";
import { readTimeout } from "../services.ts";
import { pointTable } from "../verbs/backup-list.ts";
import type { OffsiteSource } from "./offsite.ts";

/** What is asked for, before it is known where it lies. */
export interface RestoreRequest extends Omit<RestoreChoice, "source"> {
	readonly source: BackupFile | OffsiteSource;
}

export interface RestoreChoice {
	readonly source: BackupFile;
	/** What the operator typed for it. */
	readonly typed: string;
	/** Parts that are asked for; undefined: all that the file has, but Redis. */
	readonly only: readonly RestoreTarget[] | undefined;
	readonly redis: RedisChoice;
	readonly identity: string | undefined;
	readonly rebuild: boolean;
	readonly safetyBackup: boolean;
	readonly restart: boolean;
	readonly seconds: number;
	/** The options again, for a command line to be copied. */
	readonly optionText: string;
}

/** Seconds for the services to answer after the swap. */
const defaultSeconds = 120;

/** @throws StackError with exit code 2 when no single file, or no sense, is asked for. */
export async function readChoice(
	context: VerbContext,
	{ arguments: names, options }: Invocation,
): Promise<RestoreRequest> {
	const { only, redis } = readParts(options);
	const rebuild = Boolean(options.rebuildDatabase);
	if (rebuild && only && !only.includes("database")) {
		throw usage(
			"--rebuild-database restores the database, and --only leaves it out",
			"leave one of them out",
		);
	}
	const [source, typed] = await chooseSource(context, names, options);
	const written = [
		...(options.from === undefined ? [] : [`--from ${options.from}`]),
		...(options.credentials === undefined ? [] : [`--credentials ${options.credentials}`]),
		...(options.only === undefined ? [] : [`--only ${options.only}`]),
		...(options.redis === undefined ? [] : [`--redis ${options.redis}`]),
		...(options.identity === undefined ? [] : [`--identity ${options.identity}`]),
		...(rebuild ? ["--rebuild-database"] : []),
		...(options.safetyBackup === false ? ["--no-safety-backup"] : []),
		...(options.restart === false ? ["--no-restart"] : []),
	];
	return {
		...{ source, typed, only, redis, rebuild },
		identity: options.identity === undefined ? undefined : identityFile(String(options.identity)),
		safetyBackup: options.safetyBackup !== false,
		restart: options.restart !== false,
		seconds: readTimeout(options.timeout, defaultSeconds),
		optionText: written.map((option) => ` ${option}`).join(""),
	};
}

/** @throws StackError when a part is unknown, or two options contradict each other. */
export function readParts({ only: given, redis: asked }: Invocation["options"]): {
	only: RestoreTarget[] | undefined;
	redis: RedisChoice;
} {
	const only =
		given === undefined
			? undefined
			: String(given)
					.split(",")
					.map((part) => part.trim());
	const unknown = only?.filter((part) => !(restoreTargets as readonly string[]).includes(part)) ?? [];
	if (unknown.length > 0) {
		throw usage(`there is no part "${unknown.join(", ")}"`, `name some of: ${restoreTargets.join(", ")}`);
	}
	const redis = (asked ?? (only?.includes("redis") ? "restore" : "keep")) as RedisChoice;
	if (only?.includes("redis") && redis === "keep") {
		throw usage("--only redis and --redis keep say different things", "leave one of them out");
	}
	return { only: only && restoreTargets.filter((target) => only.includes(target)), redis };
}

/** @returns the file or the copy, and what was typed for it. */
async function chooseSource(
	context: VerbContext,
	names: readonly string[],
	options: Invocation["options"],
): Promise<[BackupFile | OffsiteSource, string]> {
	const [name] = names;
	const latest = Boolean(options.latest);
	const isAddress = name?.startsWith("s3://") ?? false;
	const offsite = options.from === "offsite" || isAddress;
	if (isAddress && options.from === "local")
		throw usage(`${name} and --from local say different things`, "leave --from out");
	if (options.credentials !== undefined && !offsite)
		throw usage("--credentials is for copies in the bucket", "add --from offsite, or leave it out");
	if (name !== undefined && latest)
		throw usage(`${name} and --latest say different things`, "give one of them");
	if (names.length > 1) {
		throw usage(
			`${names.length} files were named, and one is restored at a time; nothing was changed:\n${names.map((one) => `  ${one}`).join("\n")}`,
			`name one of them, for example ${context.command(`restore ${names.at(-1)}`)}`,
		);
	}
	if (offsite && (name !== undefined || latest)) {
		const credentials =
			options.credentials === undefined ? undefined : credentialsFile(String(options.credentials));
		return [{ copy: name, credentials }, name ?? "--latest"];
	}
	if (offsite) throw usage("no copy was named; nothing was changed", "name one, or add --latest");
	if (name !== undefined) return [findBackupFile(context, name), name];
	return latest ? [await newestBackup(context), "--latest"] : await noFile(context);
}

/**
 * The newest verified full backup of this stack; where there is none, the newest that may be one: it is read
 * through before anything is done.
 */
async function newestBackup(context: VerbContext): Promise<BackupFile> {
	const directory = context.load().directories.backups;
	const now = new Date();
	const full = (await readPoints(context)).filter(({ kind }) => kind === "full");
	const whole = full.filter((point) => damageOf(point) === undefined);
	const newest = newestToRestore(whole, context.stack, now) ?? newestOf(whole, context.stack, now);
	if (newest) return { directory, file: newest.file };
	const elsewhere = `name a file of another place: ${context.command("restore FILE")}`;
	const damaged = newestOf(full, context.stack, now);
	if (!damaged) {
		throw new StackError(
			`there is no full backup of stack ${context.stack} in ${directory}; nothing was changed`,
			{ fix: elsewhere },
		);
	}
	throw new StackError(
		`no full backup of stack ${context.stack} in ${directory} is good; the newest, ${damaged.file}, is damaged: ${damageOf(damaged)}; nothing was changed`,
		{
			exitCode: exitCodes.backupInvalid,
			fix: `${elsewhere}, or read it again: ${context.command(`backup verify ${damaged.file}`)}`,
		},
	);
}

/** Shows what there is, and ends with what to type. */
async function noFile({ output, stack, command, ...context }: VerbContext): Promise<never> {
	const whole = { output, stack, command, ...context };
	const directory = whole.load().directories.backups;
	const points = await readPoints(whole);
	if (points.length > 0) output.notice(`${pointTable(points, stack, output)}\n`);
	throw usage(
		points.length > 0
			? `no file was named; nothing was changed. Those above are in ${directory}`
			: `no file was named, and there is no backup in ${directory}; nothing was changed`,
		points.length > 0
			? `${command(`restore ${points.at(-1)?.file}`)}, or ${command("restore --latest")}`
			: command("restore FILE"),
	);
}

function usage(message: string, fix: string): StackError {
	return new StackError(message, { exitCode: exitCodes.usage, fix });
}
