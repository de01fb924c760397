/** The recovery points in a backup directory, as their index files tell them: no archive is opened. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type IndexFile, readIndex, type Verification } from "./index-file.ts";
import type { PointClass, PointKind, SafetyOccasion } from "./manifest.ts";
import { instantOf, parsePointName } from "./names.ts";

export interface RecoveryPoint {
	/** File name in the backup directory. */
	readonly file: string;
	readonly kind: PointKind;
	/** `indexed`: made by this program; `no-index`: the old script's, or its index is lost until it is verified. */
	readonly origin: "indexed" | "no-index";
	/** Whose it is; undefined without an index. */
	readonly stack?: string;
	readonly class?: PointClass;
	/** What it was made before, of a safety backup. */
	readonly before?: SafetyOccasion;
	/** Start of the run; without an index the time in the name. */
	readonly createdAt: Date;
	/** Bytes on the disk now. */
	readonly size: number;
	readonly encrypted: boolean;
	/** Undefined when it was never checked. */
	readonly verified?: Verification;
	/** What can be seen to be wrong without opening it. */
	readonly damage?: string;
	readonly index?: IndexFile;
}

/**
 * Every file that has the name of a recovery point, oldest first; nothing of other names is looked at.
 *
 * @throws Error of the file system, such as ENOENT or EACCES, when the directory cannot be read.
 */
export async function listPoints(directory: string, timeZone: string): Promise<RecoveryPoint[]> {
	const points: RecoveryPoint[] = [];
	for (const file of await readdir(directory)) {
		const name = parsePointName(file);
		if (!name) continue;
		const path = join(directory, file);
		const info = await stat(path).catch(() => undefined);
		if (!info?.isFile()) continue;
		const index = await readIndex(path);
		const damage =
			index && index.size !== info.size
				? `it has ${info.size} bytes, and ${index.size} were written`
				: undefined;
		points.push({
			file,
			kind: name.kind,
			origin: index ? "indexed" : "no-index",
			stack: index?.manifest.stack,
			class: index?.manifest.class,
			before: index?.manifest.before,
			createdAt: index ? new Date(index.manifest.startedAt) : instantOf(name.stamp, timeZone),
			size: info.size,
			encrypted: name.encrypted,
			verified: damage ? undefined : index?.verified,
			damage,
			index,
		});
	}
	return points.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.file < b.file ? -1 : 1));
}

/** Whether it can be relied on: checked, found good, and of the size that was checked. */
export function isGood(point: RecoveryPoint): boolean {
	return point.verified?.ok === true && point.damage === undefined;
}

/** Minutes by which clocks may differ before a time counts as one of the future. */
const futureToleranceMinutes = 10;

export function isFromTheFuture(point: Pick<RecoveryPoint, "createdAt">, now: Date): boolean {
	return point.createdAt.getTime() > now.getTime() + futureToleranceMinutes * 60_000;
}

/**
 * The newest good full recovery point of a stack. Those dated in the future, which a clock that jumped leaves
 * behind, count only when there is no other.
 */
export function newestGoodFull(
	points: readonly RecoveryPoint[],
	stack: string,
	now: Date,
): RecoveryPoint | undefined {
	const good = points
		.filter((point) => point.kind === "full" && point.stack === stack && isGood(point))
		.sort((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
	return good.findLast((point) => !isFromTheFuture(point, now)) ?? good.at(-1);
}

/**
 * What `restore --latest` brings back. What a restore has put aside before it began is not meant by that, or the
 * same command given twice would bring back what the first one was to mend; it counts where nothing else is good.
 */
export function newestToRestore(
	points: readonly RecoveryPoint[],
	stack: string,
	now: Date,
): RecoveryPoint | undefined {
	const meant = points.filter(({ before }) => before !== "restore");
	return newestGoodFull(meant, stack, now) ?? newestGoodFull(points, stack, now);
}
