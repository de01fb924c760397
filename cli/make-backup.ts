/** Makes a recovery point through the backup container: for the verbs, and before a migration. */
import { join } from "node:path";
import type { PointClass, PointKind, SafetyOccasion } from "../recovery/manifest.ts";
import { findSidecar, requireArrived, runAgent } from "./agent.ts";
import type { VerbContext } from "./context.ts";
import { stackContainers } from "./docker.ts";
import { type ExitCode, exitCodes, StackError } from "./errors.ts";
import { InterruptedError } from "./failure.ts";
import { settleRestore } from "./lock.ts";
import { formatBytes } from "./output.ts";

/** What the agent prints of one that it has made. */
interface Made {
	readonly file: string;
	readonly size: number;
	readonly sha256: string;
	readonly encrypted: boolean;
	readonly verified: { readonly ok: boolean; readonly how: string; readonly at: string };
	readonly seconds: { readonly making: number; readonly verifying: number };
	readonly pruned: readonly string[];
	readonly warnings: readonly string[];
}

export interface MadeBackup extends Omit<Made, "size"> {
	/** On the host. */
	readonly path: string;
	readonly class: PointClass;
	readonly sizeBytes: number;
	/** Of the whole command. */
	readonly totalSeconds: number;
}

/**
 * Makes one. Nothing of it is left when it fails.
 *
 * @param prune whether retention runs after it. @default true
 * @param before what a safety backup is made before.
 * @throws StackError that says why, and what mends it.
 */
export async function makeBackup(
	context: VerbContext,
	kind: PointKind,
	pointClass: PointClass,
	{ prune = true, before }: { prune?: boolean; before?: SafetyOccasion } = {},
): Promise<MadeBackup> {
	const started = performance.now();
	await settleRestore(context, "backup");
	const sidecar = await findSidecar(context);
	await requireSources(context, kind);
	const { backups } = context.load().directories;
	if (sidecar.directory !== backups) {
		context.output.warning(
			`the settings name ${backups}, and the backup container still writes to ${sidecar.directory}; ${context.command("up")} changes that`,
		);
	}
	const verb = kind === "full" ? "backup" : "backup-db";
	const args = [
		verb,
		"--class",
		pointClass,
		...(before ? ["--before", before] : []),
		...(prune ? [] : ["--no-prune"]),
	];
	let complete: string | undefined;
	const onMade = (file: string) => {
		complete = file;
	};
	const { value } = await runAgent<Made>(context, sidecar, args, onMade).catch((error) => {
		if (error instanceof InterruptedError) {
			const missing = context.load().settings.offsite
				? `; what is missing is its copy offsite: ${context.command("backup push")}`
				: "";
			context.output.progress(
				complete
					? `${complete} is complete and stays${missing}`
					: "Nothing is left of the unfinished backup.",
			);
		}
		throw error;
	});
	requireArrived(context, sidecar, value.file);
	const { file, size, sha256, encrypted, verified, seconds, pruned, warnings } = value;
	return {
		...{ file, path: join(sidecar.directory, file), class: pointClass, sizeBytes: size, sha256, encrypted },
		...{ verified, seconds, pruned, warnings, totalSeconds: (performance.now() - started) / 1000 },
	};
}

/** `452K, verified (content)`. */
export function describeBackup({ sizeBytes, verified, encrypted }: MadeBackup): string {
	return [
		formatBytes(sizeBytes),
		...(encrypted ? ["encrypted"] : []),
		verified.ok ? `verified (${verified.how})` : "NOT verified",
	].join(", ");
}

/** What is to be read has to run; said before anything is begun. */
async function requireSources(context: VerbContext, kind: PointKind): Promise<void> {
	const containers = await stackContainers(context.stack, context.signal);
	const needed = [["db", "database"], ...(kind === "full" ? ([["redis", "Redis"]] as const) : [])] as const;
	for (const [service, word] of needed) {
		const container = containers.find((candidate) => candidate.service === service);
		if (container?.state === "running") continue;
		const how = container ? `container ${container.name}: ${container.state}` : "it has no container";
		throw new StackError(
			`the ${word} of stack ${context.stack} is not running (${how}); no backup was made`,
			{
				fix:
					container?.state === "paused"
						? `docker unpause ${container.name}`
						: `${context.command("start")}, then the same command again`,
			},
		);
	}
}

/**
 * Takes a database backup before a migration, where the database and the backup container run.
 *
 * @throws StackError with the exit code of the backup.
 */
export async function backupBeforeMigration(
	context: VerbContext,
	{ untouched, skip }: Pick<SafetyBackup, "untouched" | "skip">,
): Promise<MadeBackup | undefined> {
	const containers = await stackContainers(context.stack, context.signal);
	const runs = (service: string) =>
		containers.some((container) => container.service === service && container.state === "running");
	if (!runs("db")) return undefined;
	if (!runs("backup")) {
		context.output.warning(
			"no database backup is made before the migration: the backup container does not run",
		);
		return undefined;
	}
	return await safetyBackup(context, "database", {
		name: "database backup before the migration",
		before: "migration",
		untouched,
		skip,
	});
}

export interface SafetyBackup {
	/** What the messages call it: `a …`, `the …`. */
	readonly name: string;
	readonly before: SafetyOccasion;
	/** What a failure leaves as it was, for its message. */
	readonly untouched: string;
	/** How to go on without it. */
	readonly skip: string;
	/** Whether retention runs after it. @default true */
	readonly prune?: boolean;
}

/**
 * Takes a backup before something that may cost data.
 *
 * @throws StackError with the exit code of the backup, and what was left untouched.
 */
export async function safetyBackup(
	context: VerbContext,
	kind: PointKind,
	{ name, before, untouched, skip, prune }: SafetyBackup,
): Promise<MadeBackup> {
	const { output } = context;
	output.progress(`a ${name}`);
	try {
		const made = await makeBackup(context, kind, "safety", { before, prune });
		output.progress(`kept      ${made.path}  ${describeBackup(made)}`);
		return made;
	} catch (error) {
		if (error instanceof InterruptedError) throw error;
		const { message, exitCode, fix } = error as StackError;
		throw new StackError(`the ${name} failed, so ${untouched}: ${message}`, {
			exitCode: (exitCode ?? exitCodes.failed) as ExitCode,
			fix: `${fix ? `${fix}; or ` : ""}without a backup: ${skip}`,
			cause: error,
		});
	}
}
