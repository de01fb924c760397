/** `latest.tar.gz`: a relative link to what `restore --latest` brings back. */
import { randomUUID } from "node:crypto";
import { readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { partialPrefix, syncDirectory } from "./durable-file.ts";
import { latestName } from "./names.ts";
import { newestToRestore, type RecoveryPoint } from "./points.ts";

/**
 * Points the link to the newest good full recovery point that is meant by it, replaced at once; without one it is removed.
 * A file of that name that is no link is left alone.
 *
 * @returns the name that it points to.
 */
export async function updateLatest(
	directory: string,
	points: readonly RecoveryPoint[],
	stack: string,
	now: Date,
): Promise<string | undefined> {
	const target = newestToRestore(points, stack, now)?.file;
	const link = join(directory, latestName);
	let current: string | undefined;
	try {
		current = await readlink(link);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ENOENT") return undefined;
	}
	if (current === target) return target;
	if (target === undefined) {
		await rm(link, { force: true });
	} else {
		const draft = join(directory, `${partialPrefix}file-latest-${randomUUID()}`);
		await symlink(target, draft);
		await rename(draft, link);
	}
	await syncDirectory(directory);
	return target;
}
