/** Uploads one recovery point: its archive, then its index, which makes it count. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { type IndexFile, indexPath, indexText, parseIndex } from "../../recovery/index-file.ts";
import { type Bucket, urlOf } from "./bucket.ts";
import { isTaken, OffsiteError } from "./failure.ts";
import { differenceOf, headOf, readText } from "./read-object.ts";
import { putWhole, type StoredChecksum, sendFile, storedChecksumOf } from "./send-file.ts";

/**
 * Uploads it. An archive that an earlier run left there without its index is compared, and not sent again.
 *
 * @throws OffsiteError `conflict` where something else is at its keys, which is left as it is.
 */
export async function uploadPoint(
	bucket: Bucket,
	directory: string,
	index: IndexFile,
	onProgress: (bytes: number) => void,
): Promise<void> {
	const key = `${bucket.keyPrefix}${index.archive}`;
	const there = await headOf(bucket, key);
	if (!there && (await headOf(bucket, indexPath(key)))) {
		throw new OffsiteError(
			"conflict",
			`${urlOf(bucket, indexPath(key))} is there without its archive, which somebody removed; it was left as it is. Delete it with a key that may, then ./docker-dev.sh backup push`,
		);
	}
	await placeArchive(bucket, key, directory, index, there !== undefined, onProgress);
	await placeIndex(bucket, key, index);
}

async function placeArchive(
	bucket: Bucket,
	key: string,
	directory: string,
	index: IndexFile,
	isThere: boolean,
	onProgress: (bytes: number) => void,
): Promise<void> {
	const file = await open(join(directory, index.archive), "r");
	try {
		let checksum: StoredChecksum | undefined;
		let failure: unknown;
		if (!isThere) {
			try {
				checksum = await sendFile(bucket, key, file, index, onProgress);
			} catch (error) {
				// The answer to the last request may have been lost, or somebody else was quicker.
				bucket.signal.throwIfAborted();
				if (error instanceof OffsiteError || !(await headOf(bucket, key).catch(() => undefined))) throw error;
				failure = isTaken(error) ? undefined : error;
			}
		}
		const difference = await differenceOf(
			bucket,
			key,
			index,
			async () => checksum ?? (await storedChecksumOf(bucket, file, index)),
		);
		if (difference === undefined) return;
		if (failure) throw failure;
		throw new OffsiteError(
			"conflict",
			`${urlOf(bucket, key)} is not the file that ${checksum ? "was sent there" : "is on the disk"}: ${difference}. It has no index, so it counts for nothing; it was left as it is. Delete it with a key that may, then ./docker-dev.sh backup push`,
		);
	} finally {
		await file.close();
	}
}

async function placeIndex(bucket: Bucket, key: string, index: IndexFile): Promise<void> {
	const place = indexPath(key);
	const text = indexText(index);
	try {
		await putWhole(bucket, place, Buffer.from(text));
	} catch (error) {
		if (!isTaken(error)) throw error;
	}
	const stored = await readText(bucket, place);
	if (stored === text) return;
	const other = parseIndex(stored, index.archive);
	// One that was put there at the same time may differ in when it was last checked.
	if (other?.sha256 === index.sha256 && other.size === index.size) return;
	throw new OffsiteError(
		"conflict",
		`${urlOf(bucket, place)} is not the index that was sent; it was left as it is. Delete it with a key that may, then ./docker-dev.sh backup push`,
	);
}
