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

/** Makes pipes of that size and holds them until it is told to go on; 1031 is F_SETPIPE_SZ. */
const makePipes = `
	use POSIX;
	my ($size, @paths) = @ARGV;
	my @pipes = map {
		POSIX::mkfifo($_, 0600) or die "mkfifo $_: $!";
		open(my $pipe, "+<", $_) or die "open $_: $!";
		fcntl($pipe, 1031, $size + 0);
		$pipe;
	} @paths;
	$| = 1; print "made\\n"; <STDIN>;`;

export async function openPipe(signal: AbortSignal): Promise<Pipe> {
	return (await openPipes(["pipe"], signal)).pipe;
}

/** One for each name: the program that makes them takes no longer for all than for one. */
export async function openPipes<Name extends string>(
	names: readonly Name[],
	signal: AbortSignal,
): Promise<Record<Name, Pipe>> {
	const directory = await mkdtemp(join(tmpdir(), "agent-pipe-"));
	const opened: FileHandle[] = [];
	const close = () => Promise.allSettled(opened.map((end) => end.close()));
	const openEnd = async (path: string, access: number): Promise<FileHandle> => {
		const end = await open(path, access);
		opened.push(end);
		return end;
	};
	try {
		const paths = names.map((name) => join(directory, name));
		const { child, exit } = start("perl", ["-e", makePipes, String(pipeSize), ...paths], {
			signal,
			stdio: ["pipe", "pipe", "pipe"],
		});
		await Promise.race([once(child.stdout as NodeJS.ReadableStream, "data"), exit]);
		const pipes: [string, Pipe][] = [];
		for (const [place, path] of paths.entries()) {
			// Opening one end waits for the other, for ever where the program was killed; opening both does not.
			const both = await openEnd(path, constants.O_RDWR);
			const reader = await openEnd(path, constants.O_RDONLY);
			const writer = await openEnd(path, constants.O_WRONLY);
			await both.close();
			pipes.push([names[place] as Name, { reader, writer }]);
		}
		child.stdin?.end();
		await exit;
		signal.throwIfAborted();
		// A run that fails may never come to read or write them.
		signal.addEventListener("abort", close, { once: true });
		return Object.fromEntries(pipes) as Record<Name, Pipe>;
	} catch (error) {
		await close();
		throw error;
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}

/** Opens that many while something else is waited for. @returns what gives the next, and a new one after the last. */
export function openPipesAhead(count: number, signal: AbortSignal): () => Promise<Pipe> {
	const opened = openPipes(
		Array.from({ length: count }, (_, place) => String(place)),
		signal,
	);
	// Whoever takes one sees the failure; until then it is not unhandled.
	opened.catch(() => undefined);
	let taken = 0;
	return async () => (await opened)[String(taken++)] ?? (await openPipe(signal));
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
