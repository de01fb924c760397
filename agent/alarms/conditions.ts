/** What is wrong at this moment: each condition with its reason and what mends it. Pure. */
import type { DrillRecord } from "../../recovery/drill-file.ts";
import type { RecoveryPoint } from "../../recovery/points.ts";
import type { RunRecord } from "../../recovery/status-file.ts";
import type { CurrentState } from "../current-state.ts";
import type { Disk } from "../disks.ts";

export interface Condition {
	/** What is wrong, of what, in a few words. */
	readonly what: string;
	readonly why: string;
	readonly mend: string;
	/** Whether the dead-man switch is told: where backups do not come into being, not where a disk fills. */
	readonly aboutBackups: boolean;
}

/** What the conditions are judged by. */
export interface Observed {
	readonly fresh: boolean;
	readonly reason?: string;
	readonly points: readonly RecoveryPoint[];
	readonly lastRun?: RunRecord;
	readonly drill?: DrillRecord;
	readonly offsite?: CurrentState["offsite"];
	readonly disks: readonly Disk[];
	/** Bytes in volumes, by catalogue key. */
	readonly volumes: Readonly<Record<string, number | undefined>>;
}

export interface Thresholds {
	readonly diskPercent: number;
	readonly volumeGb: number;
}

/** Share of its threshold by which a value must fall again before its alarm ends: else one at the brim storms. */
const slack = 0.03;

/**
 * All conditions that hold, by name.
 *
 * @param open those that held before.
 */
export function findConditions(
	stack: string,
	observed: Observed,
	thresholds: Thresholds,
	open: Readonly<Record<string, Condition>>,
): ReadonlyMap<string, Condition> {
	const found = new Map<string, Condition>();
	const { reason, lastRun, drill } = observed;
	if (!observed.fresh) {
		found.set("backup-overdue", {
			what: `stack ${stack} has had no good backup for too long`,
			why: withoutMend(reason ?? ""),
			mend: "look at the backup container's log, then run ./docker-dev.sh backup",
			aboutBackups: true,
		});
	}
	if (lastRun?.outcome === "failed" && !lastRun.interrupted) {
		found.set("backup-failed", {
			what: `the ${lastRun.class} ${lastRun.kind === "full" ? "backup" : "database backup"} of stack ${stack} failed`,
			why: lastRun.message ?? "no reason is known",
			mend: "mend what the reason names; a scheduled backup is tried again by itself, ./docker-dev.sh backup does so at once",
			aboutBackups: true,
		});
	}
	for (const [name, condition] of offsiteConditions(stack, observed.offsite)) found.set(name, condition);
	for (const { file, problem } of observed.points.flatMap(damageOf)) {
		found.set(`damaged:${file}`, {
			what: `backup ${file} of stack ${stack} is damaged`,
			why: problem,
			mend: "make a new one: ./docker-dev.sh backup; then find out what the disk does to its files",
			aboutBackups: false,
		});
	}
	for (const disk of observed.disks) {
		const name = `disk:${disk.name}`;
		if (!passes(disk.usedPercent, thresholds.diskPercent, name in open)) continue;
		found.set(name, {
			what: `the disk with the ${disk.name} of stack ${stack} is ${disk.usedPercent.toFixed(0)} % full`,
			why: `${gigabytes(disk.free)} GB of ${gigabytes(disk.size)} GB are free; the threshold is ${thresholds.diskPercent} %`,
			mend: "free space: docker system df, ./docker-dev.sh backup prune --dry-run; or lower the retention",
			aboutBackups: false,
		});
	}
	for (const [volume, bytes] of Object.entries(observed.volumes)) {
		const name = `volume:${volume}`;
		if (bytes === undefined || !passes(bytes, thresholds.volumeGb * 2 ** 30, name in open)) continue;
		found.set(name, {
			what: `volume ${volume} of stack ${stack} holds ${(bytes / 2 ** 30).toFixed(1)} GiB`,
			why: `the threshold is ${thresholds.volumeGb} GiB`,
			mend: "see what grew: ./docker-dev.sh volumes; or raise volumeWarnGb",
			aboutBackups: false,
		});
	}
	// What cannot be measured now has not become smaller.
	for (const [name, condition] of Object.entries(open)) {
		const [kind, volume = ""] = name.split(":");
		if (kind === "volume" && observed.volumes[volume] === undefined) found.set(name, condition);
	}
	if (drill?.outcome === "failed") {
		found.set("drill-failed", {
			what: `the restore drill of stack ${stack} failed with ${drill.file}`,
			why: drill.problems.join("; "),
			mend: "run ./docker-dev.sh backup, then ./docker-dev.sh backup drill",
			aboutBackups: false,
		});
	}
	return new Map([...found].map(([name, condition]) => [name, onStack(stack, condition)]));
}

/** Where the files cannot be looked at that is what is wrong, and nothing else has become better. */
export function unreadable(
	stack: string,
	error: Error,
	open: Readonly<Record<string, Condition>>,
): ReadonlyMap<string, Condition> {
	const condition = {
		what: `the backups of stack ${stack} cannot be looked at`,
		why: error.message,
		mend: "see that the backup directory exists and is its owner's, mode 700; then ./docker-dev.sh restart backup",
		aboutBackups: true,
	};
	return new Map([...Object.entries(open), ["backups-unreadable", onStack(stack, condition)]]);
}

/** Commands as they are typed for this stack. */
function onStack(stack: string, condition: Condition): Condition {
	const typed = (text: string) =>
		text.replaceAll(/\.\/docker-dev\.sh (?!-s )/g, `./docker-dev.sh -s ${stack} `);
	return { ...condition, why: typed(condition.why), mend: typed(condition.mend) };
}

function offsiteConditions(stack: string, offsite: CurrentState["offsite"]): [string, Condition][] {
	if (!offsite) return [];
	const { destination, newest, lastPush, fresh } = offsite;
	const newestCopy = newest ? `the newest good copy is of ${newest.createdAt}` : "there is no good copy";
	const failed = lastPush?.outcome === "failed";
	if (!failed && fresh) return [];
	return [
		[
			failed ? "offsite-failed" : "offsite-overdue",
			{
				what: failed
					? `the upload of the backups of stack ${stack} to ${destination} failed; they are here, and not there`
					: `stack ${stack} has had no new backup in ${destination} for too long`,
				why: failed ? `${lastPush.message ?? "no reason is known"} (${newestCopy})` : newestCopy,
				mend: "it is tried again by itself; ./docker-dev.sh backup push does so at once",
				aboutBackups: true,
			},
		],
	];
}

function damageOf({ file, damage, verified }: RecoveryPoint): { file: string; problem: string }[] {
	const problem =
		damage ?? (verified?.ok === false ? (verified.problem ?? "it was found damaged") : undefined);
	return problem === undefined ? [] : [{ file, problem }];
}

function passes(value: number, threshold: number, before: boolean): boolean {
	return value >= threshold * (before ? 1 - slack : 1);
}

function gigabytes(bytes: number): string {
	return (bytes / 1e9).toFixed(1);
}

/** The freshness says what mends it too, after a semicolon. */
function withoutMend(reason: string): string {
	return reason.split("; ")[0] ?? reason;
}
