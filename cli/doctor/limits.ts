/** Disks and volumes against the thresholds of the settings; `status` asks too. */
import { existsSync } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { StackSettings } from "../../components/settings.ts";
import type { VerbContext } from "../context.ts";
import { docker } from "../docker.ts";
import { formatBytes, formatSize } from "../output.ts";
import { measureVolumes, type StackVolume } from "../volumes.ts";

/** Share of a disk from which it counts as full: databases stop at the first write that fails. */
const fullPercent = 97;

/** What is on the disk of Docker's data root. */
export const dockerData = "Docker's data";

export interface Disk {
	/** What of the stack is on it. */
	readonly holds: string;
	/** A directory on it. */
	readonly path: string;
	/** As `df` counts: of what may be used without being root. */
	readonly usedPercent: number;
	readonly freeBytes: number;
	/** Share of its inodes that are taken; without a free one no file can be made. */
	readonly usedInodesPercent: number;
}

export interface PassedLimit {
	readonly full: boolean;
	readonly text: string;
}

/**
 * The disks that the stack is on, each once.
 *
 * @param dockerRoot directory of Docker's data; it cannot be seen from here where Docker runs in a machine of its
 *   own, as Docker Desktop does, and is left out then.
 * @param backups directory of the backups; one that is still to be made will be on the disk of the one above.
 */
export async function readDisks(dockerRoot: string | undefined, backups: string): Promise<Disk[]> {
	const places = [
		...(dockerRoot ? [[dockerData, dockerRoot] as const] : []),
		["backups", nearest(backups)] as const,
	];
	const disks = new Map<number, Disk>();
	for (const [holds, path] of places) {
		const [device, space] = await Promise.all([stat(path), statfs(path)]).catch(() => []);
		if (!device || !space) continue;
		const known = disks.get(device.dev);
		disks.set(device.dev, {
			holds: known ? `${known.holds} and ${holds}` : holds,
			path: known?.path ?? path,
			usedPercent: percent(space.blocks - space.bfree, space.blocks - space.bfree + space.bavail),
			freeBytes: space.bavail * space.bsize,
			// File systems without a fixed number of inodes say 0.
			usedInodesPercent: percent(space.files - space.ffree, space.files),
		});
	}
	return [...disks.values()];
}

function nearest(path: string): string {
	return existsSync(path) || dirname(path) === path ? path : nearest(dirname(path));
}

function percent(part: number, whole: number): number {
	return whole > 0 ? Math.ceil((part / whole) * 100) : 0;
}

export function describeDisk({ holds, path, usedPercent, freeBytes }: Disk): string {
	return `${holds} (${path}): ${usedPercent}% used, ${formatBytes(freeBytes)} free`;
}

export function passedByDisks(
	disks: readonly Disk[],
	{ diskWarnPercent }: Pick<StackSettings, "diskWarnPercent">,
): PassedLimit[] {
	return disks.flatMap((disk) => {
		const shares = [
			{ used: disk.usedPercent, what: `the disk with ${describeDisk(disk)}` },
			{
				used: disk.usedInodesPercent,
				what: `the disk with ${disk.holds} (${disk.path}) has ${disk.usedInodesPercent}% of its inodes in use`,
			},
		];
		return shares
			.filter(({ used }) => used >= diskWarnPercent)
			.map(({ used, what }) => ({
				full: used >= fullPercent,
				text: `${what}; the limit is ${diskWarnPercent}%`,
			}));
	});
}

/**
 * What `status` says of limits that are passed. What cannot be looked at in a moment is left to doctor.
 *
 * @param seconds for the sizes of the volumes.
 */
export async function passedLimits(
	context: VerbContext,
	volumes: readonly StackVolume[],
	seconds: number,
): Promise<string[]> {
	const { directories, settings } = context.load();
	const end = AbortSignal.any([context.signal, AbortSignal.timeout(seconds * 1000)]);
	const [root, sizes] = await Promise.all([
		docker(["info", "--format", "{{.DockerRootDir}}"], context.signal),
		measureVolumes({ ...context, signal: end }, volumes).catch(() => new Map<string, number>()),
	]);
	context.signal.throwIfAborted();
	const disks = await readDisks(root.trim(), directories.backups);
	return [
		...passedByDisks(disks, settings).map(({ text }) => text),
		...passedByVolumes(volumes, sizes, settings),
	];
}

/** @param sizes in KiB, by name. */
export function passedByVolumes(
	volumes: readonly StackVolume[],
	sizes: ReadonlyMap<string, number>,
	{ volumeWarnGb }: Pick<StackSettings, "volumeWarnGb">,
): string[] {
	return volumes.flatMap(({ name, entry }) => {
		const size = sizes.get(name);
		if (size === undefined || size < volumeWarnGb * (1 << 20)) return [];
		return [`volume ${name} (${entry.purpose}) holds ${formatSize(size)}; the limit is ${volumeWarnGb}G`];
	});
}
