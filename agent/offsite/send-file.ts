/**
 * Sends a file to a key that is free, in one piece or in parts, with bounded memory. The SDK's own uploader
 * is not used: given small chunks it keeps far more of the file in memory than its parts (aws-sdk-js-v3#8286).
 */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
	AbortMultipartUploadCommand,
	CompleteMultipartUploadCommand,
	CreateMultipartUploadCommand,
	ListMultipartUploadsCommand,
	NoSuchUpload,
	PutObjectCommand,
	UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { Bucket } from "./bucket.ts";
import { OffsiteError } from "./failure.ts";

/** Part size × concurrency. */
export const memoryBudget = 128 << 20;
const mebibyte = 1 << 20;
/** Limit of S3. */
const mostParts = 10_000;
const mostAtOnce = 4;
const abortSeconds = 10;
/** Before each time that the server is told to abort, in milliseconds. */
const abortWaits = [0, 100, 400, 1500];

export interface PartPlan {
	readonly partSize: number;
	readonly count: number;
	/** Parts that are on their way at the same time. */
	readonly concurrency: number;
}

/** What a file is to be once it has arrived. */
export interface Expected {
	readonly size: number;
	/** Hexadecimal. */
	readonly sha256: string;
}

/** The checksum that S3 keeps of an object: of the whole, or of the checksums of its parts. Base64. */
export type StoredChecksum = string;

/** @throws OffsiteError when the file is larger than the memory budget lets it be. */
export function planParts(size: number, partMebibytes: number): PartPlan {
	const needed = Math.ceil(size / mostParts / mebibyte);
	const partSize = Math.max(partMebibytes, needed) * mebibyte;
	if (partSize > memoryBudget) {
		throw new OffsiteError(
			"local file",
			`a file of ${size} bytes would need more than ${mostParts} parts of ${memoryBudget} bytes, which is the most; it was not uploaded`,
		);
	}
	return {
		partSize,
		count: Math.max(1, Math.ceil(size / partSize)),
		concurrency: Math.min(mostAtOnce, Math.floor(memoryBudget / partSize)),
	};
}

/**
 * Sends it. Every part carries its SHA-256, which the server compares, and the whole is compared with what the
 * index says before the object comes into being. Nothing is overwritten. After a failure nothing is left.
 *
 * @param onProgress called with the bytes that have arrived.
 * @returns the checksum that the server ought to have kept.
 */
export async function sendFile(
	bucket: Bucket,
	key: string,
	file: FileHandle,
	expected: Expected,
	onProgress: (bytes: number) => void,
): Promise<StoredChecksum> {
	const plan = planParts(expected.size, bucket.config.partMebibytes);
	if (plan.count > 1) return await sendInParts(bucket, key, file, expected, plan, onProgress);
	const whole = Buffer.allocUnsafe(expected.size);
	await readFully(file, whole, 0);
	const digest = sha256(whole);
	requireSame(digest.toString("hex"), expected);
	await putWhole(bucket, key, whole, digest);
	onProgress(expected.size);
	return digest.toString("base64");
}

/** A small object, to a key that is free. */
export async function putWhole(
	bucket: Bucket,
	key: string,
	body: Buffer,
	digest = sha256(body),
): Promise<void> {
	const command = new PutObjectCommand({
		Bucket: bucket.name,
		Key: key,
		Body: body,
		IfNoneMatch: "*",
		...checksum(bucket, digest),
		...bucket.encryption,
	});
	signBy(command, digest);
	await bucket.client.send(command, { abortSignal: bucket.signal });
}

/** The checksum that S3 keeps of a file, by reading it. */
export async function storedChecksumOf(
	bucket: Bucket,
	file: FileHandle,
	expected: Expected,
): Promise<StoredChecksum> {
	const { partSize, count } = planParts(expected.size, bucket.config.partMebibytes);
	const buffer = Buffer.allocUnsafe(Math.min(partSize, expected.size));
	const whole = createHash("sha256");
	const digests: Buffer[] = [];
	for (let number = 0; number < count; number++) {
		const part = buffer.subarray(0, Math.min(partSize, expected.size - number * partSize));
		await readFully(file, part, number * partSize);
		whole.update(part);
		digests.push(sha256(part));
	}
	requireSame(whole.digest("hex"), expected);
	return count === 1 ? (digests[0] as Buffer).toString("base64") : composite(digests);
}

async function sendInParts(
	bucket: Bucket,
	key: string,
	file: FileHandle,
	expected: Expected,
	{ partSize, count, concurrency }: PartPlan,
	onProgress: (bytes: number) => void,
): Promise<StoredChecksum> {
	const place = { Bucket: bucket.name, Key: key };
	const withChecksums = bucket.config.checksumMode === "when_supported";
	const { UploadId } = await bucket.client.send(
		new CreateMultipartUploadCommand({
			...place,
			...(withChecksums ? { ChecksumAlgorithm: "SHA256", ChecksumType: "COMPOSITE" } : {}),
			...bucket.encryption,
		}),
		{ abortSignal: bucket.signal },
	);
	const stop = new AbortController();
	const abortSignal = AbortSignal.any([bucket.signal, stop.signal]);
	const flying = new Set<Promise<Buffer>>();
	try {
		const free = Array.from({ length: Math.min(concurrency, count) }, () => Buffer.allocUnsafe(partSize));
		const whole = createHash("sha256");
		const digests: Buffer[] = [];
		const entityTags: (string | undefined)[] = [];
		let arrived = 0;
		const send = async (number: number, buffer: Buffer, length: number, digest: Buffer): Promise<Buffer> => {
			const command = new UploadPartCommand({
				...place,
				UploadId,
				PartNumber: number + 1,
				Body: buffer.subarray(0, length),
				...checksum(bucket, digest),
			});
			signBy(command, digest);
			const { ETag } = await bucket.client.send(command, { abortSignal });
			entityTags[number] = ETag;
			arrived += length;
			onProgress(arrived);
			return buffer;
		};
		for (let number = 0; number < count; number++) {
			const buffer = free.pop() ?? (await Promise.race(flying));
			const length = Math.min(partSize, expected.size - number * partSize);
			const part = buffer.subarray(0, length);
			await readFully(file, part, number * partSize);
			whole.update(part);
			const digest = sha256(part);
			digests.push(digest);
			const sending = send(number, buffer, length, digest);
			flying.add(sending);
			// One that fails stays, so that whoever waits next learns of it.
			sending.then(
				() => flying.delete(sending),
				() => stop.abort(),
			);
		}
		requireSame(whole.digest("hex"), expected);
		await Promise.all(flying);
		const Parts = entityTags.map((ETag, number) => ({
			ETag,
			PartNumber: number + 1,
			...checksum(bucket, digests[number] as Buffer),
		}));
		await bucket.client.send(
			new CompleteMultipartUploadCommand({
				...place,
				UploadId,
				IfNoneMatch: "*",
				MultipartUpload: { Parts },
			}),
			{ abortSignal },
		);
		return composite(digests);
	} catch (error) {
		stop.abort();
		await Promise.allSettled(flying);
		await abortUpload(bucket, key, UploadId);
		throw error;
	}
}

/**
 * Aborts what killed runs left unfinished under the stack's keys; it is invisible, and paid for. The caller
 * holds the stack's upload lock, so none of them is under way.
 *
 * @returns the keys.
 */
export async function abortUnfinished(bucket: Bucket): Promise<string[]> {
	const aborted: string[] = [];
	let page: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
	while (page) {
		const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
			Bucket: bucket.name,
			Prefix: bucket.keyPrefix,
			...page,
		});
		const {
			Uploads = [],
			IsTruncated,
			NextKeyMarker,
			NextUploadIdMarker,
		} = await bucket.client.send(command, {
			abortSignal: bucket.signal,
		});
		for (const { Key, UploadId } of Uploads) {
			if (!Key?.startsWith(bucket.keyPrefix)) continue;
			if (await abortUpload(bucket, Key, UploadId)) aborted.push(Key);
		}
		page = IsTruncated ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker } : undefined;
	}
	return aborted;
}

/**
 * A part that the server was still taking when it was told to abort may outlive the abort, as S3 documents:
 * it is told again until it knows of no such upload. Also when the run is being ended, so with a time limit
 * of its own; what is left then, the next run aborts.
 */
async function abortUpload(bucket: Bucket, key: string, UploadId: string | undefined): Promise<boolean> {
	const abortSignal = AbortSignal.timeout(abortSeconds * 1000);
	let aborted = false;
	for (const wait of abortWaits) {
		await delay(wait);
		const command = new AbortMultipartUploadCommand({ Bucket: bucket.name, Key: key, UploadId });
		try {
			await bucket.client.send(command, { abortSignal });
			aborted = true;
		} catch (error) {
			if (error instanceof NoSuchUpload) return true;
			if (abortSignal.aborted) break;
		}
	}
	return aborted;
}

async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<void> {
	for (let done = 0; done < buffer.length; ) {
		const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done);
		if (bytesRead === 0)
			throw new OffsiteError("local file", "the file on the disk became shorter while it was read");
		done += bytesRead;
	}
}

function requireSame(seen: string, { sha256: hash }: Expected): void {
	if (seen === hash) return;
	throw new OffsiteError(
		"local file",
		`the file on the disk is not the one that was made: its SHA-256 is ${seen.slice(0, 12)}…, its index says ${hash.slice(0, 12)}…; nothing of it was uploaded. Check it: ./docker-dev.sh backup verify`,
	);
}

function sha256(bytes: Buffer): Buffer {
	return createHash("sha256").update(bytes).digest();
}

/** What S3 keeps of an object made of parts. */
function composite(digests: readonly Buffer[]): StoredChecksum {
	return sha256(Buffer.concat(digests)).toString("base64");
}

function checksum({ config }: Bucket, digest: Buffer): { ChecksumSHA256?: string } {
	return config.checksumMode === "when_supported" ? { ChecksumSHA256: digest.toString("base64") } : {};
}

/** The signature covers the body's hash, which is known: it is not computed once more. */
function signBy(command: PutObjectCommand | UploadPartCommand, digest: Buffer): void {
	const { middlewareStack } = command as PutObjectCommand;
	middlewareStack.add(
		(next) => (args) => {
			const { headers } = args.request as { headers: Record<string, string> };
			headers["x-amz-content-sha256"] = digest.toString("hex");
			return next(args);
		},
		{ step: "build", name: "signByKnownHash" },
	);
}
