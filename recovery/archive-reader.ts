/**
 * Reads an archive as a stream, entry by entry. Nothing is ever unpacked to the disk, and no more than a few
 * chunks are in memory.
 */
import { spawn } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { DamagedError } from "./damaged-error.ts";
import { gunzipOne } from "./gunzip.ts";
import type { Compression } from "./manifest.ts";

export interface StoredBytes {
	readonly size: number;
	readonly sha256: string;
}

export interface ReadOptions {
	/** File with the age identity, for an encrypted archive. */
	readonly identity?: string;
	/** Called with the bytes read from the disk so far. */
	readonly onProgress?: (bytes: number) => void;
	readonly signal?: AbortSignal;
	/** @default Node's own, and the program zstd */
	readonly decompress?: Decompress;
}

/**
 * Decompresses what is one gzip member, or zstd frames; of what it gives each chunk is to be done with before the
 * next.
 *
 * @throws DamagedError after everything that could be decompressed has been given.
 */
export type Decompress = (source: AsyncIterable<Buffer>, compression: Compression) => AsyncIterable<Buffer>;

const chunkSize = 1 << 17;
/** Bytes that are read at once into a buffer that is used again. */
const hashedAtOnce = 1 << 20;

/** Counts and hashes what passes. */
export class Meter {
	bytes = 0;
	readonly #hash: Hash = createHash("sha256");

	async *pass(source: AsyncIterable<Buffer>, onProgress?: (bytes: number) => void): AsyncGenerator<Buffer> {
		for await (const chunk of source) {
			this.add(chunk);
			onProgress?.(this.bytes);
			yield chunk;
		}
	}

	add(chunk: Buffer): void {
		this.bytes += chunk.length;
		this.#hash.update(chunk);
	}

	result(): StoredBytes {
		return { size: this.bytes, sha256: this.#hash.digest("hex") };
	}
}

/** Hashes a file as it is stored. */
export async function hashFile(file: string, options: ReadOptions = {}): Promise<StoredBytes> {
	const meter = new Meter();
	const handle = await open(file, "r");
	try {
		const buffer = Buffer.allocUnsafeSlow(hashedAtOnce);
		for (;;) {
			options.signal?.throwIfAborted();
			const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
			if (bytesRead === 0) return meter.result();
			meter.add(buffer.subarray(0, bytesRead));
			options.onProgress?.(meter.bytes);
		}
	} finally {
		await handle.close();
	}
}

/** What a file of the given format holds, decrypted and decompressed. */
export function openContent(
	stored: AsyncIterable<Buffer>,
	format: { compression?: Compression; encrypted: boolean },
	{ identity, decompress = decompressHere }: Pick<ReadOptions, "identity" | "decompress"> = {},
): AsyncIterable<Buffer> {
	let content = stored;
	if (format.encrypted) {
		if (!identity) throw new Error("an encrypted archive cannot be read without its key");
		content = throughChild(content, "age", ["--decrypt", "--identity", identity]);
	}
	return format.compression ? decompress(content, format.compression) : content;
}

function decompressHere(source: AsyncIterable<Buffer>, compression: Compression): AsyncIterable<Buffer> {
	if (compression === "gzip") return gunzipOne(source);
	// Node's own decoder drops everything after a first frame that ends in the same chunk (nodejs/node#64741).
	return throughChild(source, "zstd", ["--decompress", "--stdout", "--quiet"]);
}

/** Chunks of a file, as they are stored. */
export function readFileChunks(file: string, signal?: AbortSignal): AsyncIterable<Buffer> {
	return createReadStream(file, { highWaterMark: chunkSize, signal });
}

/** All of a short content. */
export async function readWhole(content: AsyncIterable<Buffer>): Promise<Buffer> {
	const chunks: Buffer[] = [];
	for await (const chunk of content) chunks.push(Buffer.from(chunk));
	return Buffer.concat(chunks);
}

/** Reads to the end, for what comes after it. */
export async function drain(content: AsyncIterable<Buffer>): Promise<void> {
	for await (const _ of content);
}

/** The same chunks for several readers in turn: one that stops early does not end the stream for the next. */
export function keepOpen(content: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
	const iterator = content[Symbol.asyncIterator]();
	return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) };
}

/** Passes a stream through a program. @throws DamagedError with what the program wrote to stderr. */
export async function* throughChild(
	source: AsyncIterable<Buffer>,
	command: string,
	args: readonly string[],
): AsyncGenerator<Buffer> {
	const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
	let said = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said = `${said}${text}`.slice(-2000);
	});
	const ended = new Promise<void>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signal) =>
			code === 0
				? resolve()
				: reject(new DamagedError(`${command} says: ${said.trim() || `ended with ${code ?? signal}`}`)),
		);
	});
	ended.catch(() => undefined);
	let sourceFailure: unknown;
	const input = Readable.from(source, { objectMode: false, highWaterMark: chunkSize });
	input.on("error", (error) => {
		sourceFailure = error;
		child.kill();
	});
	// A program that has found damage closes its input; what it says about it matters, not the broken pipe.
	child.stdin.on("error", () => undefined);
	input.pipe(child.stdin);
	try {
		for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
		await ended.catch((error) => {
			throw sourceFailure ?? error;
		});
	} finally {
		child.kill();
	}
}
