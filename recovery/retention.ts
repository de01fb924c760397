/**
 * Retention as a plan: which recovery points go, and why every other stays. Pure, so that a dry run is the
 * plan itself and a real run does the same plan.
 */
import type { PointClass } from "./manifest.ts";
import { isFromTheFuture, isGood, newestGoodFull, type RecoveryPoint } from "./points.ts";

/** The one policy, from the stack settings. */
export interface RetentionPolicy {
	/** Days for which a recovery point of each class is kept. */
	readonly days: Readonly<Record<PointClass, number>>;
	/** Verified full recovery points that are kept whatever their age. Less than 1 counts as 1. */
	readonly minimumCopies: number;
}

/** Why a recovery point stays. */
export type KeepReason = "young" | "floor" | "foreign" | "future" | "waiting";

export interface RetentionDecision {
	readonly file: string;
	readonly action: "keep" | "delete";
	/** Undefined for a deletion. */
	readonly reason?: KeepReason;
	readonly class?: PointClass;
	/** Days since it was made, by the reference time of the plan. */
	readonly ageDays: number;
	/** Days for which its class is kept. */
	readonly keptDays?: number;
	readonly size: number;
}

export interface RetentionPlan {
	readonly stack: string;
	/** Ages are counted back from here. */
	readonly reference: Date;
	/** Verified full recovery points that remain. */
	readonly copiesKept: number;
	readonly decisions: readonly RetentionDecision[];
}

const day = 86_400_000;

/** Days for which one that is not offsite yet stays longer: the time to mend what keeps it from there. */
export const waitingDays = 14;

/**
 * Decides.
 *
 * - Age is counted back from the newest good full recovery point, or from now where that is earlier: when
 *   backups stop, nothing ages.
 * - The newest `minimumCopies` good full recovery points stay, whatever the days say, 0 included.
 * - One dated in the future stays and does not count: a clock was wrong, then or now.
 * - What has no index of this stack is somebody else's and stays.
 * - One that waits to be copied offsite stays `waitingDays` longer, and no more: the disk is not to fill up.
 *
 * @param waiting files that are not offsite yet, and are to be. @default none
 */
export function planRetention(
	points: readonly RecoveryPoint[],
	policy: RetentionPolicy,
	stack: string,
	now: Date,
	waiting: ReadonlySet<string> = new Set(),
): RetentionPlan {
	const newest = newestGoodFull(points, stack, now);
	const reference = new Date(
		Math.min(now.getTime(), newest?.createdAt.getTime() ?? Number.NEGATIVE_INFINITY),
	);
	const own = points.filter((point) => point.stack === stack && point.class !== undefined);
	const copies = own
		.filter((point) => point.kind === "full" && isGood(point) && !isFromTheFuture(point, now))
		.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.file < b.file ? 1 : -1));
	const floor = new Set(copies.slice(0, Math.max(1, Math.floor(policy.minimumCopies) || 1)));

	const decisions = points.map((point): RetentionDecision => {
		const ageDays = newest ? (reference.getTime() - point.createdAt.getTime()) / day : 0;
		const keptDays = point.class === undefined ? undefined : policy.days[point.class];
		const keep = (reason: KeepReason): RetentionDecision => ({
			file: point.file,
			action: "keep",
			reason,
			class: point.class,
			ageDays,
			keptDays,
			size: point.size,
		});
		if (point.stack !== stack || keptDays === undefined) return keep("foreign");
		if (isFromTheFuture(point, now)) return keep("future");
		if (floor.has(point)) return keep("floor");
		// Without one good full recovery point there is nothing that could replace what would be deleted.
		if (!newest || !(ageDays > keptDays)) return keep("young");
		if (waiting.has(point.file) && ageDays <= keptDays + waitingDays) return keep("waiting");
		return { file: point.file, action: "delete", class: point.class, ageDays, keptDays, size: point.size };
	});
	const deleted = new Set(decisions.filter((one) => one.action === "delete").map((one) => one.file));
	return {
		stack,
		reference: newest ? reference : now,
		copiesKept: copies.filter((point) => !deleted.has(point.file)).length,
		decisions,
	};
}
