/**
 * Reads a tar entry by entry, from chunks whose memory may be used again: nothing of a chunk is kept when the
 * next is asked for. A library that keeps pieces makes every chunk a new buffer, whose clearing away costs more
 * than the reading.
 *
 * The formats are those that tar and pg_dump's friends write: ustar, GNU and pax.
 */
import { drain, readWhole } from "./archive-reader.ts";
import { DamagedError } from "./damaged-error.ts";

export interface TarEntry {
	readonly name: string;
	/** `other` for a type that has no name here. */
	readonly type: EntryType;
	/** Bytes of its content. */
	readonly size: number;
}

export type EntryType =
	| "file"
	| "link"
	| "symlink"
	| "character-device"
	| "block-device"
	| "directory"
	| "fifo"
	| "other";

/** Takes an entry. A chunk of the content is valid until the next is asked for; what is not read is passed over. */
export type Visit = (entry: TarEntry, content: AsyncIterable<Buffer>) => Promise<void>;

const blockSize = 512;
/** Bytes of a header that carries a long name: more is no name. */
const largestExtension = 4 << 20;

/** Headers that say more of the entry behind them: a long name of a link, a long name, pax for all, pax. */
const extensions: readonly string[] = ["K", "L", "g", "x"];

const types: Readonly<Record<string, EntryType>> = {
	"\0": "file",
	0: "file",
	1: "link",
	2: "symlink",
	3: "character-device",
	4: "block-device",
	5: "directory",
	6: "fifo",
	7: "file",
};

/**
 * Gives each entry to `visit`.
 *
 * @param isEnough asked after each entry: whether the rest need not be read. @default never
 * @throws DamagedError, or what `visit` throws. When the source fails, what came before it has been visited.
 */
export async function walkTar(
	source: AsyncIterable<Buffer>,
	visit: Visit,
	isEnough: () => boolean = () => false,
): Promise<void> {
	const reader = new TarReader(source);
	try {
		for (;;) {
			const entry = await reader.next();
			if (!entry) return;
			await visit(entry, reader.content());
			await reader.passOver();
			if (isEnough()) return;
		}
	} catch (error) {
		// Whatever a visitor makes of content that cannot be read on, this is why.
		throw reader.failure ?? error;
	} finally {
		await reader.close();
	}
}

class TarReader {
	readonly #source: AsyncIterator<Buffer>;
	#chunk: Buffer = Buffer.alloc(0);
	/** Bytes taken from the source. */
	#length = 0;
	/** Bytes of the entry's content that were not read yet, and those that fill its last block. */
	#left = 0;
	#padding = 0;
	#last: string | undefined;
	/** Why it cannot be read on. */
	failure: unknown;

	constructor(source: AsyncIterable<Buffer>) {
		this.#source = source[Symbol.asyncIterator]();
	}

	/** The next entry; undefined at the end. */
	async next(): Promise<TarEntry | undefined> {
		let longName: string | undefined;
		let pax: Readonly<Record<string, string>> = {};
		for (;;) {
			const block = await this.#exactly(blockSize);
			if (!block) {
				if (this.#length < 2 * blockSize)
					this.#fail(new DamagedError("it is not a tar archive: it is too short"));
				return undefined;
			}
			if (block.every((byte) => byte === 0)) continue;
			const header = this.#decode(block);
			if (!extensions.includes(header.flag)) {
				const size = pax.size === undefined ? header.size : Number(pax.size);
				if (!Number.isSafeInteger(size) || size < 0) this.#damaged("a header has no size that can be");
				const type = types[header.flag] ?? "other";
				const name = pax.path ?? longName ?? header.name;
				const isDirectory = type === "directory" || (type === "file" && name.endsWith("/"));
				this.#enter(isDirectory ? 0 : size);
				this.#last = name;
				return { name, type: isDirectory ? "directory" : type, size: this.#left };
			}
			const text = await this.#extension(header.size);
			if (header.flag === "L") longName = readText(text, 0, text.length);
			if (header.flag === "x") pax = readPax(text);
		}
	}

	/** What of the entry was not read yet. */
	async *content(): AsyncGenerator<Buffer> {
		while (this.#left > 0) {
			const piece = await this.#piece(this.#left);
			if (!piece) this.#damaged("it ends within an entry");
			this.#left -= piece.length;
			yield piece;
		}
	}

	/** Goes to the end of the entry. */
	async passOver(): Promise<void> {
		await drain(this.content());
		if (this.#padding > 0 && !(await this.#exactly(this.#padding))) this.#damaged("it ends within an entry");
		this.#padding = 0;
	}

	async close(): Promise<void> {
		await this.#source.return?.();
	}

	#enter(size: number): void {
		this.#left = size;
		this.#padding = (blockSize - (size % blockSize)) % blockSize;
	}

	#decode(block: Buffer): { name: string; flag: string; size: number } {
		let sum = 0;
		for (let at = 0; at < blockSize; at++) sum += at >= 148 && at < 156 ? 0x20 : (block[at] as number);
		if (sum !== readNumber(block, 148, 8)) this.#damaged("a header's checksum does not fit it");
		const magic = block.toString("latin1", 257, 263);
		if (magic !== "ustar\0" && magic !== "ustar ") this.#damaged("a header is of no format that is known");
		const prefix = magic === "ustar\0" ? readText(block, 345, 155) : "";
		const name = readText(block, 0, 100);
		return {
			name: prefix ? `${prefix}/${name}` : name,
			flag: String.fromCharCode(block[156] as number),
			size: readNumber(block, 124, 12),
		};
	}

	async #extension(size: number): Promise<Buffer> {
		if (!(size >= 0 && size <= largestExtension)) this.#damaged("a name is longer than names can be");
		this.#enter(size);
		const extension = await readWhole(this.content());
		await this.passOver();
		return extension;
	}

	/** Bytes of their own; undefined where the source has ended before the first. */
	async #exactly(count: number): Promise<Buffer | undefined> {
		const bytes = Buffer.alloc(count);
		for (let filled = 0; filled < count; ) {
			const piece = await this.#piece(count - filled);
			if (!piece && filled === 0) return undefined;
			if (!piece) this.#damaged("it ends within a block");
			filled += piece.copy(bytes, filled);
		}
		return bytes;
	}

	/** At most that many bytes, in the chunk's own memory; undefined at the end. */
	async #piece(most: number): Promise<Buffer | undefined> {
		while (this.#chunk.length === 0) {
			const { value, done } = await this.#source.next().catch((error: unknown) => this.#sourceFailed(error));
			if (done) return undefined;
			this.#chunk = value;
			this.#length += value.length;
		}
		const piece = this.#chunk.subarray(0, most);
		this.#chunk = this.#chunk.subarray(piece.length);
		return piece;
	}

	#sourceFailed(error: unknown): never {
		const isDamage = error instanceof DamagedError;
		this.#fail(isDamage ? new DamagedError(`${error.message} (noticed ${this.#where()})`) : error);
	}

	#damaged(reason: string): never {
		this.#fail(new DamagedError(`it is not a whole tar archive ${this.#where()}: ${reason}`));
	}

	/** A visitor gets another error: what it says of its part must not stand for what is wrong with the whole. */
	#fail(reason: unknown): never {
		this.failure ??= reason;
		throw new Error("the archive cannot be read on", { cause: reason });
	}

	#where(): string {
		return this.#last === undefined ? "before the first part" : `in or after ${this.#last}`;
	}
}

function readText(block: Buffer, start: number, length: number): string {
	const end = block.indexOf(0, start);
	return block.toString("utf8", start, end < 0 ? start + length : Math.min(end, start + length));
}

/** In octal digits, or in binary where its first bit is set. */
function readNumber(block: Buffer, start: number, length: number): number {
	const first = block[start] as number;
	if ((first & 0x80) === 0)
		return Number.parseInt(
			block
				.toString("latin1", start, start + length)
				.replace(/\0.*$/s, "")
				.trim() || "0",
			8,
		);
	if (first !== 0x80) return Number.NaN;
	let value = 0;
	for (let at = start + 1; at < start + length; at++) value = value * 256 + (block[at] as number);
	return value;
}

/** `length key=value` and a line end, again and again; the length counts all of it. */
function readPax(bytes: Buffer): Record<string, string> {
	const values: Record<string, string> = {};
	for (let start = 0; start < bytes.length; ) {
		const length = Number.parseInt(bytes.toString("latin1", start, start + 20), 10);
		if (!(length > 0)) return values;
		const record = bytes.toString("utf8", bytes.indexOf(0x20, start) + 1, start + length - 1);
		const [key = ""] = record.split("=", 1);
		values[key] = record.slice(key.length + 1);
		start += length;
	}
	return values;
}
