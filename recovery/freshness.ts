/** Whether the newest recovery point is as new as the schedule promises. */
import { Cron } from "croner";
import { newestGoodFull, type RecoveryPoint } from "./points.ts";

/** Minutes that a run may be late before its absence is a problem. */
export const defaultGraceMinutes = 90;

export interface Schedule {
	/** Cron expressions; null: never. */
	readonly schedules: Readonly<Record<"daily" | "weekly", string | null>>;
	readonly timeZone: string;
	/** Minutes that a run may be late. */
	readonly graceMinutes: number;
}

export interface Freshness {
	readonly fresh: boolean;
	readonly newest?: RecoveryPoint;
	/** Hours since the newest good full recovery point. */
	readonly ageHours?: number;
	/** The run that ought to have been made by now. */
	readonly due?: Date;
	/** What to say when it is not fresh. */
	readonly reason?: string;
}

/** The last time before `now` for which a schedule planned a run. */
export function lastPlanned(expression: string, timeZone: string, now: Date): Date | undefined {
	return new Cron(expression, { timezone: timeZone, paused: true }).previousRuns(1, now)[0];
}

/** The next time after `now`. */
export function nextPlanned(expression: string, timeZone: string, now: Date): Date | undefined {
	return new Cron(expression, { timezone: timeZone, paused: true }).nextRun(now) ?? undefined;
}

/**
 * Judges by the files that exist, not by what a job said about itself.
 *
 * @param since when backups began; before the first run after it nothing is missing.
 */
export function freshness(
	points: readonly RecoveryPoint[],
	stack: string,
	schedule: Schedule,
	since: Date | undefined,
	now: Date,
): Freshness {
	const newest = newestGoodFull(points, stack, now);
	const ageHours = newest && (now.getTime() - newest.createdAt.getTime()) / 3_600_000;
	const latestStart = new Date(now.getTime() - schedule.graceMinutes * 60_000);
	const due = Object.values(schedule.schedules)
		.filter((expression) => expression !== null)
		.map((expression) => lastPlanned(expression, schedule.timeZone, latestStart))
		.filter((time) => time !== undefined)
		.sort((a, b) => b.getTime() - a.getTime())[0];
	const enough = { fresh: true, newest, ageHours, due };
	if (!due || (newest && newest.createdAt.getTime() >= due.getTime())) return enough;
	if (!newest && since && since.getTime() > due.getTime()) return enough;
	const last = newest
		? `the newest good one is of ${newest.createdAt.toISOString()}`
		: "there is no good one";
	return {
		...enough,
		fresh: false,
		reason: `a full backup was due at ${due.toISOString()}, and ${last}; look at the backup container's log, then run ./docker-dev.sh backup`,
	};
}
