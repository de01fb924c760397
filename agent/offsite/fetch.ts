/** Brings a copy back from the bucket into the backup directory. */
import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { hashFile, Meter, type StoredBytes } from "../../recovery/archive-reader.ts";
import { partialPrefix, syncDirectory } from "../../recovery/durable-file.ts";
import { type IndexFile, indexPath, parseIndex, readIndex, writeIndex } from "../../recovery/index-file.ts";
import { parsePointName } from "../../recovery/names.ts";
import { AppendFile } from "../append-file.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { Progress } from "../progress.ts";
import type { RunContext } from "../recovery-point.ts";
import { requireSpace } from "../space.ts";
import { type Bucket, urlOf } from "./bucket.ts";
import { isNotFound } from "./failure.ts";
import { readObject, readText } from "./read-object.ts";

export interface Fetched {
	readonly index: IndexFile;
	readonly url: string;
	/** Whether it was on the disk already, and good. */
	readonly wasHere: boolean;
}

/** An object by its address, its key, or the file name of one of the stack's own. */
export function locate(bucket: Bucket, text: string): { bucket: Bucket; key: string; file: string } {
	const address = /^s3:\/\/([^/]+)\/(.+)$/.exec(text);
	const key = address?.[2] ?? (text.includes("/") ? text : `${bucket.keyPrefix}${text}`);
	const file = basename(key);
	if (text.startsWith("s3:") ? !address || !parsePointName(file) : !parsePointName(file)) {
		throw new AgentError(
			`${text} does not name a recovery point; write its file name, or s3://BUCKET/PREFIX/STACK/full_backup_YYYYMMDD_HHMMSS.tar.gz`,
			exitCodes.usage,
		);
	}
	return { bucket: { ...bucket, name: address?.[1] ?? bucket.name }, key, file };
}

/**
 * Downloads it under a partial name, compares it with its index, and gives it its own name. What is on the disk
 * is not overwritten.
 *
 * @throws AgentError with exit code 7 when the copy is not what its index says; nothing of it is left then.
 */
export async function fetchCopy(context: RunContext, from: Bucket, text: string): Promise<Fetched> {
	const { config, report, signal } = context;
	const directory = config.backupDirectory;
	const { bucket, key, file } = locate(from, text);
	const url = urlOf(bucket, key);
	const index = await readStoredIndex(bucket, key, file);
	if (await isHere(directory, index, signal)) return { index, url, wasHere: true };
	await requireSpace(directory, index.size);
	const draft = join(directory, `${partialPrefix}file-${file}-${randomUUID()}`);
	try {
		const progress = new Progress(report, `downloading ${file}`, index.size);
		const meter = new Meter();
		const target = await AppendFile.create(draft);
		try {
			for await (const chunk of meter.pass(readObject(bucket, key), (bytes) => progress.set(bytes)))
				await target.append(chunk);
			await target.finish();
		} catch (error) {
			await target.abandon();
			throw error;
		}
		const { size, sha256 } = meter.result();
		if (size !== index.size || sha256 !== index.sha256) {
			throw new AgentError(
				`${url} is DAMAGED: it has ${size} bytes of SHA-256 ${sha256.slice(0, 12)}…, its index says ${index.size} of ${index.sha256.slice(0, 12)}…; nothing of it was kept. Take another: ./docker-dev.sh backup list`,
				exitCodes.invalid,
			);
		}
		signal.throwIfAborted();
		// The index first, as for a new one: an archive under its final name always has one.
		await writeIndex(directory, index);
		await rename(draft, join(directory, file));
		await syncDirectory(directory);
	} catch (error) {
		await rm(draft, { force: true });
		throw error;
	}
	return { index, url, wasHere: false };
}

/** @throws AgentError when there is none, so that the copy does not count. */
export async function readStoredIndex(bucket: Bucket, key: string, file: string): Promise<IndexFile> {
	let text: string;
	try {
		text = await readText(bucket, indexPath(key));
	} catch (error) {
		if (!isNotFound(error)) throw error;
		throw new AgentError(
			`there is no whole copy at ${urlOf(bucket, key)}: it has no index; see what there is: ./docker-dev.sh backup list`,
			exitCodes.usage,
		);
	}
	const index = parseIndex(text, file);
	if (index) return index;
	throw new AgentError(
		`the index of ${urlOf(bucket, key)} cannot be read, so nothing tells whether the copy is whole; nothing was downloaded. Take another: ./docker-dev.sh backup list`,
		exitCodes.invalid,
	);
}

/** @throws AgentError when a file of its name is on the disk and is another. */
async function isHere(directory: string, index: IndexFile, signal: AbortSignal): Promise<boolean> {
	const path = join(directory, index.archive);
	let here: StoredBytes;
	try {
		here = await hashFile(path, { signal });
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
		throw error;
	}
	if (here.sha256 !== index.sha256) {
		throw new AgentError(
			`${path} is on the disk and is not what is in the bucket; it was left as it is. Move it away, then run this again: mv ${path} ${path}.other`,
		);
	}
	if (!(await readIndex(path))) await writeIndex(directory, index);
	return true;
}
