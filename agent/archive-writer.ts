/**
 * Writes the outer archive: one tar in one gzip member (or in zstd frames), in which parts that are compressed
 * already are only stored, and what comes last is compressed by a program of its own while it is made.
 *
 * gzip: header, stored deflate blocks, then the raw deflate stream that igzip made, whose last block ends the
 * member, then a trailer with the checksum of both put together. Concatenated members would be simpler, but
 * streaming readers stumble over them, and a cut at a member's end looks whole.
 */
import { open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { type ArchiveTail, gzipTrailer, gzipTrailerLength, heads } from "../recovery/archive-tail.ts";
import type { Compression } from "../recovery/manifest.ts";
import { AppendFile } from "./append-file.ts";
import { crc32Combine } from "./crc32-combine.ts";
import { tarBlock, tarHeader, tarPadding } from "./tar-header.ts";

/** How stored and compressed bytes are put into a file. */
interface Container {
	begin(): Promise<void>;
	/** Bytes that go in as they are; `known` is false for a place that is patched later. */
	store(bytes: Buffer, known: boolean): Promise<void>;
	/** Tells the content of a place that was stored with `known` false, in the order of the places. */
	settle(bytes: Buffer): void;
	/** From here on it is to be readable without what is before. */
	beginTail(): void;
	/** Takes over what a program compressed from `length` bytes; it ends the archive. */
	appendCompressed(file: string, length: number): Promise<void>;
	/** What the tail needs to be an archive of its own. */
	tail(): Omit<ArchiveTail, "offset">;
}

const copySize = 1 << 20;

/** Writes parts one after the other, each in its full length before the next. */
export class ArchiveWriter {
	readonly #file: AppendFile;
	readonly #container: Container;
	readonly #modified: Date;
	#tailOffset: number | undefined;

	private constructor(file: AppendFile, compression: Compression, modified: Date) {
		this.#file = file;
		this.#container = compression === "gzip" ? new GzipContainer(file) : new ZstdContainer(file);
		this.#modified = modified;
	}

	static async create(path: string, compression: Compression, modified: Date): Promise<ArchiveWriter> {
		const file = await AppendFile.create(path);
		const writer = new ArchiveWriter(file, compression, modified);
		await writer.#container.begin();
		return writer;
	}

	/** Stores a part whose length is known only at its end. */
	async storeStream(name: string, content: AsyncIterable<Buffer>): Promise<void> {
		const place = await this.#headerPlace();
		let size = 0;
		for await (const chunk of content) {
			size += chunk.length;
			await this.#container.store(chunk, true);
		}
		await this.#container.store(tarPadding(size), true);
		await this.#fillHeader(place, name, size);
	}

	/** Stores a part that lies in a file. */
	async storeFile(name: string, path: string): Promise<void> {
		await this.storeStream(name, readChunks(path, 0));
	}

	/** The next part is the first that can be read without what is before. */
	beginTail(): void {
		this.#container.beginTail();
		this.#tailOffset = this.#file.size;
	}

	/**
	 * Ends the archive with a file that a program compressed: the content of `name`, `size` bytes long, and
	 * whatever follows it in the tar, `length` bytes together.
	 *
	 * @returns where the tail is, if it was begun.
	 */
	async finish(
		name: string,
		size: number,
		compressed: string,
		length: number,
	): Promise<ArchiveTail | undefined> {
		await this.#container.store(tarHeader(name, size, this.#modified), true);
		await this.#container.appendCompressed(compressed, length);
		await this.#file.finish();
		return this.#tailOffset === undefined
			? undefined
			: { offset: this.#tailOffset, ...this.#container.tail() };
	}

	async abandon(): Promise<void> {
		await this.#file.abandon();
	}

	async #headerPlace(): Promise<number> {
		await this.#container.store(Buffer.alloc(tarBlock), false);
		return this.#file.size - tarBlock;
	}

	async #fillHeader(place: number, name: string, size: number): Promise<void> {
		const header = tarHeader(name, size, this.#modified);
		await this.#file.patch(place, header);
		this.#container.settle(header);
	}
}

/** A run of bytes and its checksum; a place that is not settled yet has none. */
interface Segment {
	length: number;
	crc: number | undefined;
}

class GzipContainer implements Container {
	readonly #file: AppendFile;
	readonly #segments: Segment[] = [];
	/** The first segment of the tail. */
	#tailStart = 0;

	constructor(file: AppendFile) {
		this.#file = file;
	}

	async begin(): Promise<void> {
		await this.#file.append(heads.gzip);
	}

	beginTail(): void {
		this.#tailStart = this.#segments.push({ length: 0, crc: 0 }) - 1;
	}

	tail(): { crc32: number; length: number } {
		const { crc, length } = this.#sum(this.#tailStart);
		return { crc32: crc, length };
	}

	async store(bytes: Buffer, known: boolean): Promise<void> {
		const largestBlock = 0xffff;
		for (let start = 0; start < bytes.length; start += largestBlock) {
			const block = bytes.subarray(start, start + largestBlock);
			const header = Buffer.alloc(5);
			header.writeUInt16LE(block.length, 1);
			header.writeUInt16LE(~block.length & 0xffff, 3);
			await this.#file.append(header);
			await this.#file.append(block);
		}
		const last = this.#segments.at(-1);
		if (!known) this.#segments.push({ length: bytes.length, crc: undefined });
		else if (last?.crc !== undefined) {
			last.crc = crc32(bytes, last.crc);
			last.length += bytes.length;
		} else this.#segments.push({ length: bytes.length, crc: crc32(bytes) });
	}

	settle(bytes: Buffer): void {
		const place = this.#segments.find((segment) => segment.crc === undefined);
		if (place?.length !== bytes.length)
			throw new Error("a place in the archive was filled with another length");
		place.crc = crc32(bytes);
	}

	async appendCompressed(path: string, length: number): Promise<void> {
		const headerLength = heads.gzip.length;
		const { header, trailer, size } = await ends(path, headerLength, gzipTrailerLength);
		if (header.readUInt32BE(0) >>> 0 !== 0x1f8b0800)
			throw new Error("igzip wrote a header that is not expected");
		for await (const chunk of readChunks(path, headerLength, size - gzipTrailerLength))
			await this.#file.append(chunk);
		if (trailer.readUInt32LE(4) !== length % 2 ** 32) {
			throw new Error("igzip compressed another number of bytes than it was given");
		}
		this.#segments.push({ length, crc: trailer.readUInt32LE(0) });
		const whole = this.#sum(0);
		await this.#file.append(gzipTrailer(whole.crc, whole.length));
	}

	/** Of the segments from that one on, put together. */
	#sum(first: number): { crc: number; length: number } {
		let crc = 0;
		let length = 0;
		for (const segment of this.#segments.slice(first)) {
			if (segment.crc === undefined) throw new Error("a place in the archive was never filled");
			crc = crc32Combine(crc, segment.crc, segment.length);
			length += segment.length;
		}
		return { crc, length };
	}
}

class ZstdContainer implements Container {
	readonly #file: AppendFile;

	constructor(file: AppendFile) {
		this.#file = file;
	}

	async begin(): Promise<void> {
		await this.#file.append(heads.zstd);
	}

	beginTail(): void {}

	tail(): Record<string, never> {
		return {};
	}

	async store(bytes: Buffer): Promise<void> {
		const largestBlock = 128 << 10;
		for (let start = 0; start < bytes.length; start += largestBlock) {
			const block = bytes.subarray(start, start + largestBlock);
			await this.#file.append(rawBlock(block.length, false));
			await this.#file.append(block);
		}
	}

	settle(): void {}

	async appendCompressed(path: string): Promise<void> {
		await this.#file.append(rawBlock(0, true));
		for await (const chunk of readChunks(path, 0)) await this.#file.append(chunk);
	}
}

function rawBlock(length: number, last: boolean): Buffer {
	const header = Buffer.alloc(3);
	header.writeUIntLE((length << 3) | (last ? 1 : 0), 0, 3);
	return header;
}

/** Chunks of a file, in a buffer that is used again: each is to be done with before the next is asked for. */
async function* readChunks(
	path: string,
	from: number,
	to = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer> {
	const handle = await open(path, "r");
	try {
		const buffer = Buffer.allocUnsafe(copySize);
		for (let position = from; position < to; ) {
			const { bytesRead } = await handle.read(buffer, 0, Math.min(copySize, to - position), position);
			if (bytesRead === 0) break;
			position += bytesRead;
			yield buffer.subarray(0, bytesRead);
		}
	} finally {
		await handle.close();
	}
}

async function ends(path: string, headerLength: number, trailerLength: number) {
	const handle = await open(path, "r");
	try {
		const { size } = await handle.stat();
		if (size < headerLength + trailerLength) throw new Error(`${path} is too short to be compressed data`);
		const header = Buffer.alloc(headerLength);
		const trailer = Buffer.alloc(trailerLength);
		await handle.read(header, 0, headerLength, 0);
		await handle.read(trailer, 0, trailerLength, size - trailerLength);
		return { header, trailer, size };
	} finally {
		await handle.close();
	}
}
