/** Files that are whole or not there, also after a power failure. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Prefix of the names of files being written; with the stack's name after it. */
export const partialPrefix = ".partial-";

/** Makes the names in a directory durable: without it a rename may be undone by a power failure. */
export async function syncDirectory(directory: string): Promise<void> {
	await withFile(directory, "r", (handle) => handle.sync());
}

/** Makes the content of a file durable. */
export async function syncFile(file: string): Promise<void> {
	await withFile(file, "r", (handle) => handle.sync());
}

/** Replaces a file at once, mode 600. What root writes belongs to the owner of the directory, who has to read it. */
export async function writeDurably(file: string, content: string): Promise<void> {
	const directory = dirname(file);
	const draft = join(directory, `${partialPrefix}file-${basename(file)}-${randomUUID()}`);
	try {
		await withFile(draft, "wx", async (handle) => {
			await handle.writeFile(content);
			const { uid, gid } = await stat(directory);
			if (uid !== 0 && process.getuid?.() === 0) await handle.chown(uid, gid);
			await handle.sync();
		});
		await rename(draft, file);
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
	await syncDirectory(directory);
}

async function withFile(
	file: string,
	flags: string,
	use: (handle: FileHandle) => Promise<void>,
): Promise<void> {
	const handle = await open(file, flags, 0o600);
	try {
		await use(handle);
	} finally {
		await handle.close();
	}
}
