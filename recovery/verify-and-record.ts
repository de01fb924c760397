/** Verifies recovery points and keeps the result in their index files. */
import { join } from "node:path";
import type { ReadOptions } from "./archive-reader.ts";
import { type IndexFile, readIndex, writeIndex } from "./index-file.ts";
import { parsePointName } from "./names.ts";
import { type VerifyResult, verifyPoint } from "./verify.ts";

/**
 * Checks one and writes what was found into its index; an index that was lost is made again from the manifest.
 * An archive of the old script has no manifest, so it gets no index: it stays a file that is never deleted.
 */
export async function verifyAndRecord(
	directory: string,
	file: string,
	options: ReadOptions & { readonly now?: Date } = {},
): Promise<VerifyResult> {
	const result = await verifyPoint(directory, file, options);
	const index = await readIndex(join(directory, file));
	const verified = {
		ok: result.ok,
		how: result.how,
		at: (options.now ?? new Date()).toISOString(),
		problem: result.problems.length > 0 ? result.problems.join("; ") : undefined,
	};
	if (index) {
		// A check of the bytes does not take back what an earlier check of the content showed.
		const how = result.ok && index.verified.ok && index.verified.how === "content" ? "content" : verified.how;
		await writeIndex(directory, { ...index, verified: { ...verified, how } });
	} else if (result.ok && result.manifest && result.stored) {
		await writeIndex(directory, {
			formatVersion: 1,
			archive: file,
			...result.stored,
			encrypted: parsePointName(file)?.encrypted ?? false,
			manifest: result.manifest,
			verified,
		} satisfies IndexFile);
	}
	return result;
}
