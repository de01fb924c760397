/**
 * Pipes for bulk data. Node gives its children sockets and makes a new buffer of every chunk it reads from one,
 * which costs more time in garbage collection than the hashing does; here it is one buffer and a real pipe.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { output } from "./children.ts";

export interface Pipe {
	readonly reader: FileHandle;
	readonly writer: FileHandle;
}

/** What a pipe holds on Linux. */
const pipeSize = 1 << 16;

export async function openPipe(signal: AbortSignal): Promise<Pipe> {
	const directory = await mkdtemp(join(tmpdir(), "agent-pipe-"));
	try {
		const path = join(directory, "pipe");
		await output("mkfifo", ["--mode=600", path], { signal });
		// Opened for both, it does not wait for the other side; neither do the two that follow.
		const both = await open(path, constants.O_RDWR);
		try {
			return { reader: await open(path, constants.O_RDONLY), writer: await open(path, constants.O_WRONLY) };
		} finally {
			await both.close();
		}
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

/** Reads to the end and closes. The buffer is used again: each chunk is to be done with before the next. */
export async function* readPipe(reader: FileHandle): AsyncGenerator<Buffer> {
	const buffer = Buffer.allocUnsafeSlow(pipeSize);
	try {
		for (;;) {
			const { bytesRead } = await reader.read(buffer, 0, pipeSize, null);
			if (bytesRead === 0) return;
			yield buffer.subarray(0, bytesRead);
		}
	} finally {
		await reader.close();
	}
}

/** Writes all of it, at the pace of the other side. @throws EPIPE when that has closed. */
export async function writePipe(writer: FileHandle, chunk: Buffer): Promise<void> {
	for (let done = 0; done < chunk.length; ) {
		done += (await writer.write(chunk, done, chunk.length - done, null)).bytesWritten;
	}
}
