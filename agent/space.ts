/** Whether a recovery point will fit, asked before anything is written. */
import { statfs } from "node:fs/promises";
import type { Manifest } from "../recovery/manifest.ts";
import { newestGoodFull, type RecoveryPoint } from "../recovery/points.ts";
import { output } from "./children.ts";
import { AgentError } from "./failure.ts";

/** What a run is expected to handle. */
export interface Estimate {
	/** Bytes that the run will read, for its progress. */
	readonly work: number;
	/** Bytes that the disk must have. */
	readonly disk: number;
}

/** From the last recovery point of this kind; without one from the size of what is to be read. */
export async function estimate(
	kind: Manifest["kind"],
	points: readonly RecoveryPoint[],
	source: { stack: string; databaseSize: number; directories: readonly string[]; encrypted: boolean },
	now: Date,
	signal: AbortSignal,
): Promise<Estimate> {
	const copies = source.encrypted ? 2 : 1;
	const last =
		kind === "full"
			? newestGoodFull(points, source.stack, now)
			: points.findLast((point) => point.stack === source.stack && point.kind === "database");
	if (last?.index) {
		const work = last.index.manifest.parts.reduce((total, part) => total + part.size, 0);
		return { work, disk: copies * last.size * 1.1 };
	}
	// Text of a dump is about as large as its table files, without their indexes; half of that when compressed.
	if (kind === "database") return { work: source.databaseSize, disk: copies * source.databaseSize * 0.8 };
	// Files that vanish while it counts make du end with 1; an estimate can do without them.
	const usage = await output("du", ["--summarize", "--block-size=1", "--", ...source.directories], {
		signal,
		accept: [0, 1],
	});
	const files = usage.split("\n").reduce((total, line) => total + (Number.parseInt(line, 10) || 0), 0);
	return { work: source.databaseSize + files, disk: copies * (files + source.databaseSize * 0.4) };
}

export async function freeBytes(directory: string): Promise<number> {
	const { bavail, bsize } = await statfs(directory);
	return bavail * bsize;
}

/** @throws AgentError with both numbers when it will not fit. */
export async function requireSpace(directory: string, bytes: number): Promise<void> {
	const free = await freeBytes(directory);
	if (free >= bytes) return;
	throw new AgentError(
		`the disk with ${directory} is too full: the recovery point needs about ${megabytes(bytes)} MB, and ${megabytes(free)} MB are free; nothing was written. Free space or lower the retention, then run the backup again`,
	);
}

function megabytes(bytes: number): string {
	return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}
