/** Unpacks an archive of files into the hidden directory of its volume. */
import { createWriteStream } from "node:fs";
import { chown, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { Meter } from "../../recovery/archive-reader.ts";
import type { Compression } from "../../recovery/manifest.ts";
import { output, start } from "../children.ts";
import { decompressor } from "../compressor.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { openPipes, writePipe } from "../pipe.ts";

export interface StagedFiles {
	readonly meter: Meter;
	/** Entries of the archive. */
	readonly entries: number;
}

/** Owners, modes, times, links and holes come back as they were; nothing leaves the directory. */
export async function unpackFiles(
	name: string,
	content: AsyncIterable<Buffer>,
	place: { readonly target: string; readonly directory: string; readonly compression: Compression },
	signal: AbortSignal,
	onProgress: (bytes: number) => void,
): Promise<StagedFiles> {
	const { packed, plain } = await openPipes(["packed", "plain"], signal);
	const { command, args } = decompressor(place.compression);
	const unpacker = start(command, args, { signal, stdio: [packed.reader.fd, plain.writer.fd, "pipe"] });
	const tar = start(
		"tar",
		[
			...["--extract", "--file=-", `--directory=${place.directory}`, "--numeric-owner", "--same-owner"],
			...["--preserve-permissions", "--delay-directory-restore", "--blocking-factor=128"],
			...["--verbose", "--quoting-style=escape"],
		],
		{ signal, stdio: [plain.reader.fd, "pipe", "pipe"] },
	);
	// One line for each entry: a line end in a name is escaped.
	let entries = 0;
	tar.child.stdout?.on("data", (names: Buffer) => {
		for (const byte of names) if (byte === 0x0a) entries++;
	});
	await Promise.all([packed.reader, plain.writer, plain.reader].map((end) => end.close()));
	const meter = new Meter();
	let broken: unknown;
	try {
		for await (const chunk of content) {
			meter.add(chunk);
			await writePipe(packed.writer, chunk);
			onProgress(chunk.length);
		}
	} catch (error) {
		broken = error;
	} finally {
		await packed.writer.close();
	}
	// Why a program has ended says more than that its input is closed.
	if (broken && (broken as NodeJS.ErrnoException).code !== "EPIPE") throw broken;
	const [unpacked, written] = await Promise.allSettled([unpacker.exit, tar.exit]);
	// The unpacker is ended by tar's end, and tar is left without an end by the unpacker's.
	if (unpacked.status === "rejected" && !/SIGPIPE/.test(unpacked.reason.message))
		throw new AgentError(
			`the compressed data of ${name} are damaged (${unpacked.reason.message})`,
			exitCodes.invalid,
		);
	if (written.status === "rejected") {
		const said = (written.reason as Error).message
			.replace(/^tar failed: /, "")
			.split("\n")
			.slice(0, 3)
			.join("; ");
		if (/No space left on device/.test(said))
			throw new AgentError(`the disk with ${place.target} is full (${said})`);
		throw new AgentError(`${name} cannot be unpacked: ${said}`, exitCodes.invalid);
	}
	if (broken) throw broken;
	return { meter, entries };
}

/** Everything but directories. */
export async function countFiles(directory: string, signal: AbortSignal): Promise<number> {
	const marks = await output("find", [directory, "-mindepth", "1", "!", "-type", "d", "-printf", "."], {
		signal,
	});
	return marks.length;
}

/** Ids of Redis in its image, for a volume that does not say whose it is. */
const redisId = 999;

/**
 * A complete directory of the append-only file around a snapshot: Redis ignores a snapshot beside one, and
 * without one it loads nothing.
 */
export async function stageRedis(
	content: AsyncIterable<Buffer>,
	directory: string,
	signal: AbortSignal,
	onProgress: (bytes: number) => void,
): Promise<Meter> {
	const inside = join(directory, "appendonlydir");
	const base = "appendonly.aof.1.base.rdb";
	const manifest = join(inside, "appendonly.aof.manifest");
	await mkdir(inside, { mode: 0o700 });
	const meter = new Meter();
	const counted = async function* () {
		for await (const chunk of content) {
			meter.add(chunk);
			onProgress(chunk.length);
			// A stream keeps it, and its memory is used again.
			yield Buffer.from(chunk);
		}
	};
	await pipeline(counted(), createWriteStream(join(inside, base), { mode: 0o600 }), { signal });
	await writeFile(manifest, `file ${base} seq 1 type b\n`, { mode: 0o600 });
	const report = await output("redis-check-rdb", [join(inside, base)], { signal }).catch(
		(error: unknown) => (error as Error).message,
	);
	if (!/RDB looks OK/i.test(report)) {
		throw new AgentError(`the snapshot of Redis is damaged: ${report.trim().slice(-500)}`, exitCodes.invalid);
	}
	const { uid, gid } = await stat(directory);
	const owner = uid === 0 ? { uid: redisId, gid: redisId } : { uid, gid };
	for (const path of [join(inside, base), manifest, inside]) await chown(path, owner.uid, owner.gid);
	return meter;
}
