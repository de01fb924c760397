/**
 * Retention in a bucket, as a plan. Nothing is deleted: a copy that may go is tagged, and the bucket's own
 * lifecycle lets go only what carries the tag.
 */
import { pointClasses } from "./manifest.ts";
import { asPoint, isGoodCopy, type OffsiteCopy } from "./offsite.ts";
import { isFromTheFuture, type RecoveryPoint } from "./points.ts";
import { planRetention, type RetentionPlan, type RetentionPolicy } from "./retention.ts";

export interface OffsitePlan {
	/** Copies that are to carry the tag. */
	readonly supersede: readonly string[];
	/** Copies that carry it and are to lose it: without them the floor would be undercut. */
	readonly reprieve: readonly string[];
	/** Recovery points on the disk that belong offsite and are not there, the newest first. */
	readonly upload: readonly string[];
}

/** One number of days for every class. */
function policyOf(retentionDays: number, minimumCopies: number): RetentionPolicy {
	const days = Object.fromEntries(pointClasses.map((name) => [name, retentionDays]));
	return { days: days as RetentionPolicy["days"], minimumCopies };
}

/**
 * Decides by the rules of `planRetention`, over what is in the bucket and what would be.
 *
 * - Copies that carry the tag may be gone any day, so they are not counted. Where the floor is not reached
 *   without them, the newest of them lose it.
 * - What the rules would let go at once is not uploaded.
 *
 * @param local recovery points on the disk; only good ones of this stack are candidates.
 */
export function planOffsite(
	copies: readonly OffsiteCopy[],
	local: readonly RecoveryPoint[],
	{ retentionDays, minimumCopies }: { retentionDays: number; minimumCopies: number },
	stack: string,
	now: Date,
): OffsitePlan {
	const policy = policyOf(retentionDays, minimumCopies);
	const staying = copies.filter((copy) => !copy.superseded).map(asPoint);
	const plan = planRetention(staying, policy, stack, now);
	const floor = Math.max(1, Math.floor(minimumCopies) || 1);
	const reprieve = copies
		.filter((copy) => copy.superseded && copy.kind === "full" && copy.stack === stack && isGoodCopy(copy))
		.map(asPoint)
		.filter((point) => !isFromTheFuture(point, now))
		.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
		.slice(0, Math.max(0, floor - plan.copiesKept))
		.map(({ file }) => file);

	const known = new Map(copies.map((copy) => [copy.file, copy]));
	const missing = local.filter((point) => {
		const copy = known.get(point.file);
		const good = point.stack === stack && point.verified?.ok === true && point.damage === undefined;
		return good && (copy === undefined || copy.incomplete !== undefined);
	});
	const whole = staying.filter(({ file }) => !missing.some((point) => point.file === file));
	const after = deletions(planRetention([...whole, ...missing], policy, stack, now));
	const upload = missing
		.filter(({ file }) => !after.has(file))
		.sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
		.map(({ file }) => file);
	return { supersede: [...deletions(plan)], reprieve, upload };
}

function deletions({ decisions }: RetentionPlan): Set<string> {
	return new Set(decisions.filter(({ action }) => action === "delete").map(({ file }) => file));
}
