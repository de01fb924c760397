/** Whether the new content fits beside the live one: asked before anything is written, and watched while it is. */
import { stat, statfs } from "node:fs/promises";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import { AgentError } from "../failure.ts";
import { isMounted, mountOf } from "./mounts.ts";

/** Bytes that each target needs beside what is there. */
export type Needs = Partial<Record<RestoreTarget, number>>;

export interface Space {
	readonly needed: number;
	/** Of the disk with the least to spare; undefined when none is known. */
	readonly free?: number;
}

/** A server that finds no room for its log ends; it is stopped before. */
const reserve = 192 << 20;
const watchMilliseconds = 200;

/**
 * Adds up what is needed on each disk: several volumes may lie on one.
 *
 * @throws AgentError with both numbers when it does not fit.
 */
export async function requireRoom(needs: Needs): Promise<Space> {
	const disks = new Map<number, { free: number; needed: number; targets: string[] }>();
	for (const [target, bytes] of Object.entries(needs) as [RestoreTarget, number][]) {
		const directory = placeOf(target, needs);
		if (!directory) continue;
		const { dev } = await stat(directory);
		const disk = disks.get(dev) ?? { free: (await room(directory)).free, needed: 0, targets: [] };
		disk.needed += bytes;
		disk.targets.push(target);
		disks.set(dev, disk);
	}
	const needed = Object.values(needs).reduce((total, bytes) => total + bytes, 0);
	const tightest = [...disks.values()].sort((a, b) => a.free - a.needed - (b.free - b.needed))[0];
	if (tightest && tightest.free < tightest.needed) {
		throw new AgentError(
			`the disk with ${tightest.targets.join(", ")} is too full: the restore needs about ${megabytes(tightest.needed)} MB beside what is there, and ${megabytes(tightest.free)} MB are free; nothing was changed. Free space, then run the restore again`,
		);
	}
	return { needed, free: tightest?.free };
}

/** Ends a run through `stop` before a disk of its targets is full. @returns what ends the watch. */
export function watchRoom(targets: readonly RestoreTarget[], stop: (reason: AgentError) => void): () => void {
	const watch = async () => {
		for (const target of targets.filter(isMounted)) {
			const { free, size } = await room(mountOf(target));
			// On a small disk a tenth has to do.
			if (free >= Math.min(reserve, size / 10)) continue;
			stop(new AgentError(`the disk with ${target} is almost full: ${megabytes(free)} MB are free`));
		}
	};
	const timer = setInterval(() => watch().catch(() => undefined), watchMilliseconds);
	return () => clearInterval(timer);
}

/** The database's own volume may not be mounted; then it lies where the others do. */
function placeOf(target: RestoreTarget, needs: Needs): string | undefined {
	if (isMounted(target)) return mountOf(target);
	const other = (Object.keys(needs) as RestoreTarget[]).find(isMounted);
	return target === "database" && other ? mountOf(other) : undefined;
}

async function room(directory: string): Promise<{ free: number; size: number }> {
	const { bavail, blocks, bsize } = await statfs(directory);
	return { free: bavail * bsize, size: blocks * bsize };
}

function megabytes(bytes: number): string {
	return (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
}
