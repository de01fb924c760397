/** The recovery points of a stack as the host sees them: no container is needed. */
import { backupPolicy } from "../components/backup-policy.ts";
import { defaultGraceMinutes, type Freshness, freshness, nextPlanned } from "../recovery/freshness.ts";
import { isFromTheFuture, isGood, listPoints, type RecoveryPoint } from "../recovery/points.ts";
import { type AgentStatus, readStatus } from "../recovery/status-file.ts";
import type { VerbContext } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";
import { age } from "./output.ts";

/**
 * Every recovery point in the backup directory, oldest first; other stacks' too. Without the directory there
 * are none.
 *
 * @throws StackError when this user may not read the directory.
 */
export async function readPoints(context: VerbContext): Promise<RecoveryPoint[]> {
	const { directories, settings } = context.load();
	try {
		return await listPoints(directories.backups, settings.timeZone);
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		if (code === "ENOENT") return [];
		if (code !== "EACCES" && code !== "EPERM") throw error;
		throw new StackError(`the backup directory ${directories.backups} cannot be read: ${message}`, {
			exitCode: exitCodes.permission,
			fix: `run this as its owner; or make it yours: sudo chown -R "$USER" ${directories.backups} && chmod 700 ${directories.backups}, then ${context.command("restart backup")}`,
		});
	}
}

/** Whose a recovery point is; what has no index is the old script's, or its index is lost. */
export function ownership(point: RecoveryPoint, stack: string): "own" | "other" | "unknown" {
	if (point.stack === undefined) return "unknown";
	return point.stack === stack ? "own" : "other";
}

/** `content`, `bytes`, `no` or `DAMAGED`. */
export function verifiedWord(point: RecoveryPoint): string {
	if (point.damage || point.verified?.ok === false) return "DAMAGED";
	return point.verified?.how ?? "no";
}

/** What is known to be wrong with it. */
export function damageOf(point: RecoveryPoint): string | undefined {
	return point.damage ?? (point.verified?.ok === false ? (point.verified.problem ?? "damaged") : undefined);
}

/** The newest full recovery point that may be this stack's, good or not; without one the newest of the database. */
export function newestOf(
	points: readonly RecoveryPoint[],
	stack: string,
	now: Date,
): RecoveryPoint | undefined {
	const mine = points.filter((point) => ownership(point, stack) !== "other");
	const present = mine.filter((point) => !isFromTheFuture(point, now));
	const choice = present.length > 0 ? present : mine;
	return choice.findLast(({ kind }) => kind === "full") ?? choice.at(-1);
}

export interface BackupState extends Freshness {
	readonly points: readonly RecoveryPoint[];
	/** When the next run is planned; undefined where there is no schedule. */
	readonly next: Date | undefined;
	readonly status: AgentStatus | undefined;
}

/** How the backups of a stack are, judged by the files and the schedule of the settings. */
export async function backupState(context: VerbContext, now = new Date()): Promise<BackupState> {
	const { directories, settings } = context.load();
	const { schedules, timeZone } = backupPolicy(context.stack, settings);
	const points = await readPoints(context);
	const status = await readStatus(directories.backups, context.stack);
	const since = status && new Date(status.since);
	const judged = freshness(
		points,
		context.stack,
		{ schedules, timeZone, graceMinutes: defaultGraceMinutes },
		since,
		now,
	);
	const [next] = Object.values(schedules)
		.flatMap((expression) => (expression === null ? [] : [nextPlanned(expression, timeZone, now)]))
		.filter((time) => time !== undefined)
		.sort((a, b) => a.getTime() - b.getTime());
	return { ...judged, points, next, status };
}

/** A recovery point as --json shows it. */
export function pointAsJson(point: RecoveryPoint, directory: string, stack: string, now = new Date()) {
	return {
		file: point.file,
		path: `${directory}/${point.file}`,
		kind: point.kind,
		class: point.class ?? null,
		stack: point.stack ?? null,
		ownership: ownership(point, stack),
		createdAt: point.createdAt.toISOString(),
		ageSeconds: Math.round((now.getTime() - point.createdAt.getTime()) / 1000),
		sizeBytes: point.size,
		encrypted: point.encrypted,
		hasIndex: point.origin === "indexed",
		good: isGood(point),
		verified: point.verified ?? null,
		damage: damageOf(point) ?? null,
	};
}

/** `3 hours`; of a time to come `in 3 hours`. */
export function ageOf(point: RecoveryPoint, now = new Date()): string {
	return point.createdAt > now ? `in ${age(now, point.createdAt)}` : age(point.createdAt, now);
}
