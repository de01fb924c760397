/** How the backups of the stack are at this moment, judged by the files. */
import { type AlarmFile, readAlarms } from "../recovery/alarm-file.ts";
import { type DrillFile, readDrills } from "../recovery/drill-file.ts";
import { type Freshness, freshness, nextPlanned } from "../recovery/freshness.ts";
import { type LockOwner, lockFile, lockHolder } from "../recovery/lock.ts";
import {
	asPoint,
	destinationOf,
	isGoodCopy,
	type OffsiteState,
	offsiteState,
	readOffsite,
} from "../recovery/offsite.ts";
import { isGood, listPoints, type RecoveryPoint } from "../recovery/points.ts";
import { type AgentStatus, readStatus } from "../recovery/status-file.ts";
import type { AgentConfig } from "./config.ts";

export interface CurrentState extends Omit<Freshness, "due">, Partial<AgentStatus> {
	readonly stack: string;
	readonly due?: string;
	/** The next planned runs; null: none. */
	readonly next: Readonly<Record<"daily" | "weekly", string | null>>;
	/** Those of this stack. */
	readonly points: readonly RecoveryPoint[];
	/** Verified full ones. */
	readonly goodFull: number;
	readonly holder?: LockOwner;
	readonly alarms: AlarmFile["open"];
	readonly drill?: DrillFile["drills"][number];
	/** What is remembered of the copies in the bucket; absent where there is none. */
	readonly offsite?: OffsiteState & {
		/** Whether the newest good full copy is as new as the schedule promises, with time for the upload. */
		readonly fresh: boolean;
		readonly storedBytes: number;
		/** Copies that were found damaged when they were read back. */
		readonly damaged: readonly { readonly file: string; readonly problem: string }[];
	};
}

/** Minutes that an upload may take, with its retries, before a copy that is missing is a problem. */
const uploadGraceMinutes = 360;

export async function currentState(config: AgentConfig, now = new Date()): Promise<CurrentState> {
	const { backupDirectory, stack, schedules, timeZone } = config;
	const all = await listPoints(backupDirectory, timeZone);
	const remembered = await readStatus(backupDirectory, stack);
	const since = remembered && new Date(remembered.since);
	const { due, ...judged } = freshness(all, stack, config, since, now);
	const next = (expression: string | null) =>
		expression === null ? null : (nextPlanned(expression, timeZone, now)?.toISOString() ?? null);
	const points = all.filter((point) => point.stack === stack);
	return {
		...remembered,
		...judged,
		stack,
		due: due?.toISOString(),
		next: { daily: next(schedules.daily), weekly: next(schedules.weekly) },
		points,
		goodFull: points.filter((point) => point.kind === "full" && isGood(point)).length,
		holder: lockHolder(lockFile(backupDirectory, stack)),
		alarms: (await readAlarms(backupDirectory, stack)).open,
		drill: (await readDrills(backupDirectory, stack)).drills.at(-1),
		offsite: await currentOffsite(config, since, now),
	};
}

async function currentOffsite(
	config: AgentConfig,
	since: Date | undefined,
	now: Date,
): Promise<CurrentState["offsite"]> {
	const { offsite, backupDirectory, stack } = config;
	if (!offsite) return undefined;
	const destination = destinationOf(offsite, stack);
	const record = await readOffsite(backupDirectory, stack, destination);
	const all = record?.copies ?? [];
	const copies = all.filter(isGoodCopy);
	const schedule = { ...config, graceMinutes: config.graceMinutes + uploadGraceMinutes };
	return {
		...offsiteState(record, destination, stack, now),
		fresh: freshness(copies.map(asPoint), stack, schedule, since, now).fresh,
		damaged: all.flatMap(({ file, checked }) =>
			checked?.ok === false ? [{ file, problem: checked.problem ?? "it was found damaged" }] : [],
		),
		storedBytes: copies.reduce((total, { size }) => total + size, 0),
	};
}

/** A recovery point without its index, which is long. */
export function publicPoint({ index: _, createdAt, ...point }: RecoveryPoint) {
	return { ...point, createdAt: createdAt.toISOString() };
}
