/** A file that grows at its end, in large writes, and reaches the disk while it grows. */
import { type FileHandle, open } from "node:fs/promises";

const bufferSize = 1 << 20;
/** Bytes after which what was written is pushed to the disk, so that the last fsync has little left to do. */
const flushSize = 32 << 20;

export class AppendFile {
	readonly #handle: FileHandle;
	#buffer: Buffer = Buffer.allocUnsafe(bufferSize);
	#spare: Buffer | undefined = Buffer.allocUnsafe(bufferSize);
	#filled = 0;
	#writing: Promise<void> = Promise.resolve();
	#flushing: Promise<void> | undefined;
	#unflushed = 0;
	/** Bytes appended so far. */
	size = 0;

	private constructor(handle: FileHandle) {
		this.#handle = handle;
	}

	/** Makes a new file, mode 600. */
	static async create(path: string): Promise<AppendFile> {
		return new AppendFile(await open(path, "wx", 0o600));
	}

	/** Copies the bytes; the caller may reuse them. */
	async append(bytes: Buffer): Promise<void> {
		for (let taken = 0; taken < bytes.length; ) {
			const count = bytes.copy(this.#buffer, this.#filled, taken);
			taken += count;
			this.#filled += count;
			this.size += count;
			if (this.#filled === bufferSize) await this.#write();
		}
	}

	/** Overwrites bytes that were appended before. */
	async patch(position: number, bytes: Buffer): Promise<void> {
		await this.#write();
		await this.#writing;
		await writeAll(this.#handle, bytes, position);
	}

	/** Ends it: everything is on the disk when this resolves. */
	async finish(): Promise<void> {
		await this.#write();
		await this.#writing;
		await this.#flushing;
		await this.#handle.sync();
		await this.#handle.close();
	}

	/** Gives it up. */
	async abandon(): Promise<void> {
		await Promise.allSettled([this.#writing, this.#flushing]);
		await this.#handle.close().catch(() => undefined);
	}

	async #write(): Promise<void> {
		if (this.#filled === 0) return;
		await this.#writing;
		const full = this.#buffer.subarray(0, this.#filled);
		const position = this.size - this.#filled;
		this.#buffer = this.#spare ?? Buffer.allocUnsafe(bufferSize);
		this.#spare = undefined;
		this.#filled = 0;
		this.#writing = writeAll(this.#handle, full, position).then(() => {
			this.#spare = Buffer.from(full.buffer, full.byteOffset, bufferSize);
			this.#flushSoon(full.length);
		});
		// It is awaited before the next write; until then its failure is not unhandled.
		this.#writing.catch(() => undefined);
	}

	#flushSoon(written: number): void {
		this.#unflushed += written;
		if (this.#unflushed < flushSize || this.#flushing) return;
		this.#unflushed = 0;
		this.#flushing = this.#handle.datasync().finally(() => {
			this.#flushing = undefined;
		});
		this.#flushing.catch(() => undefined);
	}
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
	for (let done = 0; done < bytes.length; ) {
		const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
		done += bytesWritten;
	}
}
