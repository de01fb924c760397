/**
 * Pipes for bulk data. Node gives its children sockets and makes a new buffer of every chunk it reads from one,
 * which costs more time in garbage collection than the hashing does; here it is one buffer and a real pipe.
 */
import { once } from "node:events";
import { constants } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "./children.ts";

export interface Pipe {
	readonly reader: FileHandle;
	readonly writer: FileHandle;
}

/**
 * Bytes that a pipe holds: with Linux's 64 KiB the programs at its ends spend a third of their time on waking
 * each other. 1 MiB is what Linux lets everybody ask for (/proc/sys/fs/pipe-max-size).
 */
const pipeSize = 1 << 20;

/**
 * Bytes below which a read costs more in waking threads than in copying, and milliseconds that are given to the
 * other side then to write more; the pipe holds what comes meanwhile.
 */
const worthReading = 1 << 18;
const pause = 2;

/** Makes a pipe of that size and holds it until it is told to go on; 1031 is F_SETPIPE_SZ. */
const makePipe = `
	use POSIX;
	POSIX::mkfifo($ARGV[0], 0600) or die "mkfifo $ARGV[0]: $!";
	open(my $pipe, "+<", $ARGV[0]) or die "open $ARGV[0]: $!";
	fcntl($pipe, 1031, $ARGV[1] + 0);
	$| = 1; print "made\\n"; <STDIN>;`;

export async function openPipe(signal: AbortSignal): Promise<Pipe> {
	const directory = await mkdtemp(join(tmpdir(), "agent-pipe-"));
	try {
		const path = join(directory, "pipe");
		// While it holds the pipe for both sides, opening one does not wait for the other.
		const { child, exit } = start("perl", ["-e", makePipe, path, String(pipeSize)], {
			signal,
			stdio: ["pipe", "pipe", "pipe"],
		});
		await Promise.race([once(child.stdout as NodeJS.ReadableStream, "data"), exit]);
		const pipe = {
			reader: await open(path, constants.O_RDONLY),
			writer: await open(path, constants.O_WRONLY),
		};
		child.stdin?.end();
		await exit;
		// A run that fails may never come to read or write it.
		const close = () => Promise.allSettled([pipe.reader.close(), pipe.writer.close()]);
		signal.addEventListener("abort", close, { once: true });
		return pipe;
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
			if (bytesRead < worthReading) await sleep(pause);
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
