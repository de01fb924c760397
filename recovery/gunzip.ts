/**
 * Reads a file that is one gzip member, strictly: what follows the member, and a second member, are damage.
 *
 * Node's own gunzip accepts trailing bytes, and it throws the last chunk away when the checksum is wrong; then
 * nobody could say which part was damaged.
 */
import { Readable } from "node:stream";
import { crc32, createInflateRaw } from "node:zlib";
import { DamagedError } from "./damaged-error.ts";

const trailerLength = 8;
const maximumHeader = 1 << 16;

/** @throws DamagedError after everything that could be decompressed has been yielded. */
export async function* gunzipOne(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
	let taken = 0;
	let tail: Buffer = Buffer.alloc(0);
	async function* body(): AsyncGenerator<Buffer> {
		let start: Buffer | undefined = Buffer.alloc(0);
		for await (const chunk of source) {
			tail = Buffer.concat([tail, chunk.subarray(-trailerLength)]).subarray(-trailerLength);
			let rest: Buffer = chunk;
			if (start) {
				start = Buffer.concat([start, chunk]);
				const length = headerLength(start);
				if (length === undefined) continue;
				rest = start.subarray(length);
				start = undefined;
			}
			taken += rest.length;
			if (rest.length > 0) yield rest;
		}
		if (start) throw new DamagedError("it ends within its gzip header");
	}
	const input = Readable.from(body(), { objectMode: false, highWaterMark: 1 << 17 });
	const inflate = createInflateRaw({ chunkSize: 1 << 16 });
	input.on("error", (error) => inflate.destroy(error));
	input.pipe(inflate);
	let checksum = 0;
	let length = 0;
	try {
		for await (const chunk of inflate as AsyncIterable<Buffer>) {
			checksum = crc32(chunk, checksum);
			length += chunk.length;
			yield chunk;
		}
	} catch (error) {
		const code = (error as NodeJS.ErrnoException).code ?? "";
		if (!code.startsWith("Z_")) throw error;
		throw new DamagedError(
			code === "Z_BUF_ERROR" ? "the archive was cut short" : "its compressed data are damaged",
		);
	} finally {
		// Whoever stops early closes the file too.
		if (!inflate.readableEnded) input.destroy();
	}
	for await (const _ of input) {
		// What follows the compressed data is counted by `body`.
	}
	const after = taken - inflate.bytesWritten;
	if (after < trailerLength) throw new DamagedError("the archive was cut short");
	if (after > trailerLength) {
		throw new DamagedError(
			`${after - trailerLength} bytes follow the end of the archive and do not belong to it`,
		);
	}
	if (tail.readUInt32LE(0) !== checksum || tail.readUInt32LE(4) !== length % 2 ** 32) {
		throw new DamagedError("its checksum does not fit its content");
	}
}

/** Length of the header at the start of `bytes`; undefined when more of it is needed. */
function headerLength(bytes: Buffer): number | undefined {
	if (bytes.length < 10) return undefined;
	if (bytes[0] !== 0x1f || bytes[1] !== 0x8b || bytes[2] !== 8)
		throw new DamagedError("it is not a gzip file");
	const flags = bytes[3] as number;
	let position = 10;
	if (flags & 4) {
		if (bytes.length < position + 2) return undefined;
		position += 2 + bytes.readUInt16LE(position);
	}
	for (const text of [8, 16]) {
		if (!(flags & text)) continue;
		const end = bytes.indexOf(0, position);
		if (end < 0 && bytes.length > maximumHeader) throw new DamagedError("its gzip header does not end");
		if (end < 0) return undefined;
		position = end + 1;
	}
	if (flags & 2) position += 2;
	return bytes.length < position ? undefined : position;
}
