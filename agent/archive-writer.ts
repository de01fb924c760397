/**
 * Writes the outer archive: one tar in one gzip member (or in zstd frames), in which parts that are compressed
 * already are only stored, and what comes last is compressed by a program of its own while it is made.
 *
 * gzip: header, stored deflate blocks, then the raw deflate stream that igzip made, whose last block ends the
 * member, then a trailer with the checksum of both put together. Concatenated members would be simpler, but
 * streaming readers stumble over them, and a cut at a member's end looks whole.
 */
import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
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
	/** Takes over what a program compresses into a file, until it has ended with the number of bytes it was given. */
	appendCompressed(file: string, ended: Promise<number>): Promise<void>;
	/** Ends the archive; every place is settled. */
	end(): Promise<void>;
	/** What the tail needs to be an archive of its own. */
	tail(): Omit<ArchiveTail, "offset">;
}

const copySize = 1 << 20;
/** Milliseconds until a file that grows is looked at again. */
const growthPause = 20;

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
		await this.storeStream(name, readChunks(path));
	}

	/** The next part is the first that can be read without what is before. */
	beginTail(): void {
		this.#container.beginTail();
		this.#tailOffset = this.#file.size;
	}

	/**
	 * Ends the archive with what a program compresses into the file `packed`, following it as it grows: the
	 * content of `name`, and whatever comes after it in the tar.
	 *
	 * @param ended resolves when the program is done, with the size of that content, and its length together
	 *   with what comes after it.
	 * @returns where the tail is, if it was begun.
	 * @throws what `ended` rejects with.
	 */
	async finish(
		name: string,
		packed: string,
		ended: Promise<{ readonly size: number; readonly length: number }>,
	): Promise<ArchiveTail | undefined> {
		const place = await this.#headerPlace();
		await this.#container.appendCompressed(
			packed,
			ended.then(({ length }) => length),
		);
		await this.#fillHeader(place, name, (await ended).size);
		await this.#container.end();
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

	async appendCompressed(path: string, ended: Promise<number>): Promise<void> {
		const headerLength = heads.gzip.length;
		for await (const chunk of follow(path, ended, headerLength, gzipTrailerLength))
			await this.#file.append(chunk);
		const length = await ended;
		const { header, trailer } = await ends(path, headerLength, gzipTrailerLength);
		if (header.readUInt32BE(0) >>> 0 !== 0x1f8b0800)
			throw new Error("igzip wrote a header that is not expected");
		if (trailer.readUInt32LE(4) !== length % 2 ** 32) {
			throw new Error("igzip compressed another number of bytes than it was given");
		}
		this.#segments.push({ length, crc: trailer.readUInt32LE(0) });
	}

	async end(): Promise<void> {
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

	async appendCompressed(path: string, ended: Promise<number>): Promise<void> {
		await this.#file.append(rawBlock(0, true));
		for await (const chunk of follow(path, ended)) await this.#file.append(chunk);
	}

	async end(): Promise<void> {}
}

function rawBlock(length: number, last: boolean): Buffer {
	const header = Buffer.alloc(3);
	header.writeUIntLE((length << 3) | (last ? 1 : 0), 0, 3);
	return header;
}

/** Chunks of a file, in a buffer that is used again: each is to be done with before the next is asked for. */
async function* readChunks(path: string): AsyncGenerator<Buffer> {
	yield* follow(path, Promise.resolve());
}

/**
 * Chunks of a file that grows until `ended` resolves, as `readChunks` gives them.
 *
 * @param head bytes at the beginning that are left out.
 * @param end bytes at the end that are left out.
 * @throws what `ended` rejects with.
 */
async function* follow(path: string, ended: Promise<unknown>, head = 0, end = 0): AsyncGenerator<Buffer> {
	let isWhole = false;
	const whole = ended.then(() => {
		isWhole = true;
	});
	whole.catch(() => undefined);
	const handle = await open(path, "r");
	try {
		const buffer = Buffer.allocUnsafe(copySize);
		for (let position = head; ; ) {
			// Asked before the file is: what is read after that is all there will be.
			const isLast = isWhole;
			const { size } = await handle.stat();
			const count = Math.min(copySize, size - end - position);
			if (count < copySize && !isLast) {
				await Promise.race([whole, sleep(growthPause)]);
				continue;
			}
			if (count === 0) return;
			const { bytesRead } = count > 0 ? await handle.read(buffer, 0, count, position) : { bytesRead: 0 };
			if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
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
