/** Reads objects back: what the server says of them, and their bytes. */
import { createHash } from "node:crypto";
import { addAbortSignal, type Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import {
	GetObjectCommand,
	HeadObjectCommand,
	type HeadObjectCommandOutput,
	ListObjectsV2Command,
} from "@aws-sdk/client-s3";
import { type Bucket, urlOf } from "./bucket.ts";
import { isForbidden, isNotFound, OffsiteError } from "./failure.ts";
import type { Expected, StoredChecksum } from "./send-file.ts";

/** What the server says of an object; undefined where there is none. */
export async function headOf(bucket: Bucket, key: string): Promise<HeadObjectCommandOutput | undefined> {
	const command = new HeadObjectCommand({
		Bucket: bucket.name,
		Key: key,
		...(bucket.config.checksumMode === "when_supported" ? { ChecksumMode: "ENABLED" } : {}),
	});
	try {
		return await bucket.client.send(command, { abortSignal: bucket.signal });
	} catch (error) {
		if (isNotFound(error)) return undefined;
		// Of a key that is not there, S3 says "forbidden" to whoever may list only what begins with a prefix.
		if (isForbidden(error) && !(await isListed(bucket, key))) return undefined;
		throw error;
	}
}

async function isListed(bucket: Bucket, key: string): Promise<boolean> {
	const command = new ListObjectsV2Command({ Bucket: bucket.name, Prefix: key, MaxKeys: 1 });
	const { Contents = [] } = await bucket.client.send(command, { abortSignal: bucket.signal });
	// A key sorts before every longer one that begins with it.
	return Contents[0]?.Key === key;
}

/**
 * What is wrong with an object that ought to hold a file; undefined when it is that file. By the checksum that
 * the server keeps; where it keeps none, by reading it all.
 *
 * @param checksum what the server ought to have kept; computed only when it is needed.
 */
export async function differenceOf(
	bucket: Bucket,
	key: string,
	expected: Expected,
	checksum: () => Promise<StoredChecksum>,
): Promise<string | undefined> {
	const head = await headOf(bucket, key);
	if (!head) return "it is not there";
	if (head.ContentLength !== expected.size)
		return `it has ${head.ContentLength} bytes, and ${expected.size} were sent`;
	if (head.ChecksumSHA256 !== undefined) {
		// A checksum of the parts' checksums has their number after it, with most servers.
		const kept = head.ChecksumSHA256.replace(/-\d+$/, "");
		if (kept === (await checksum())) return undefined;
		// Of other parts, it is another for the same bytes.
	}
	return await readingDifference(bucket, key, expected);
}

/** As `differenceOf`, by reading every byte. */
export async function readingDifference(
	bucket: Bucket,
	key: string,
	expected: Expected,
	onProgress: (bytes: number) => void = () => undefined,
): Promise<string | undefined> {
	const hash = createHash("sha256");
	let size = 0;
	for await (const chunk of readObject(bucket, key)) {
		hash.update(chunk);
		size += chunk.length;
		onProgress(size);
	}
	if (size !== expected.size) return `it has ${size} bytes, its index says ${expected.size}`;
	const seen = hash.digest("hex");
	if (seen === expected.sha256) return undefined;
	return `its SHA-256 is ${seen.slice(0, 12)}…, its index says ${expected.sha256.slice(0, 12)}…`;
}

/** A small object. */
export async function readText(bucket: Bucket, key: string, limit = 64 << 20): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of readObject(bucket, key)) {
		size += chunk.length;
		if (size > limit) throw new OffsiteError("conflict", `${urlOf(bucket, key)} is too large to be an index`);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString("utf8");
}

/**
 * The bytes of an object as a stream. A connection that is cut is taken up again where it ended, as often as a
 * request is tried without a single byte more; another object in its place is noticed.
 */
export async function* readObject(bucket: Bucket, key: string): AsyncGenerator<Buffer> {
	const { client, config, name, signal } = bucket;
	let position = 0;
	let entityTag: string | undefined;
	let total: number | undefined;
	let fruitless = 0;
	while (total === undefined || position < total) {
		const from = position;
		try {
			const command = new GetObjectCommand({
				Bucket: name,
				Key: key,
				...(position > 0 ? { Range: `bytes=${position}-`, IfMatch: entityTag } : {}),
			});
			const { Body, ETag, ContentLength } = await client.send(command, { abortSignal: signal });
			entityTag ??= ETag;
			total ??= ContentLength;
			for await (const chunk of addAbortSignal(signal, Body as Readable) as AsyncIterable<Buffer>) {
				position += chunk.length;
				yield chunk;
			}
			// A server that knows no length ends where it ends.
			total ??= position;
			if (position < total) throw Object.assign(new Error("the connection was cut"), { code: "ECONNRESET" });
		} catch (error) {
			signal.throwIfAborted();
			const answered = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
			fruitless = position > from ? 0 : fruitless + 1;
			if (answered !== undefined || fruitless >= config.attempts) throw error;
			await sleep(config.pauseSeconds * 1000, undefined, { signal });
		}
	}
}
