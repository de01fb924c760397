/** Clears away what killed runs left behind. */
import { lstat, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { partialPrefix } from "./durable-file.ts";
import { indexEnding } from "./index-file.ts";
import { isLockDraft } from "./lock.ts";
import { parsePointName } from "./names.ts";

/** No draft takes this long to write. */
const draftMinutes = 10;

/** Name of the directory in which a run works. */
export function workDirectoryName(stack: string, stamp: string): string {
	return `${partialPrefix}${stack}-${stamp}`;
}

/**
 * Removes working directories, drafts, and indexes of this stack whose archive never came. The caller holds the
 * stack's lock, so none of them belongs to a run that is still alive.
 *
 * @returns the names removed.
 */
export async function sweepPartials(directory: string, stack: string): Promise<string[]> {
	const names = await readdir(directory);
	const present = new Set(names);
	const work = new RegExp(`^${RegExp.escape(partialPrefix)}${RegExp.escape(stack)}-\\d{8}_\\d{6}$`);
	const removed: string[] = [];
	for (const name of names) {
		if (!work.test(name) && !(await isOldDraft(name)) && !(await isOrphanIndex(name))) continue;
		await rm(join(directory, name), { recursive: true, force: true });
		removed.push(name);
	}
	return removed;

	/** Another stack of the same directory, or who just asks for the lock, may be writing one just now. */
	async function isOldDraft(name: string): Promise<boolean> {
		if (!name.startsWith(`${partialPrefix}file-`) && !isLockDraft(name, stack)) return false;
		const info = await lstat(join(directory, name)).catch(() => undefined);
		return info !== undefined && Math.abs(Date.now() - info.mtimeMs) > draftMinutes * 60_000;
	}

	async function isOrphanIndex(name: string): Promise<boolean> {
		if (!name.endsWith(indexEnding)) return false;
		const archive = name.slice(0, -indexEnding.length);
		if (!parsePointName(archive) || present.has(archive)) return false;
		try {
			const index = JSON.parse(await readFile(join(directory, name), "utf8"));
			return index?.archive === archive && index?.manifest?.stack === stack;
		} catch {
			return false;
		}
	}
}
