/** Makes one recovery point: all its parts at once, checked, and only then under its final name. */
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ArchiveTail } from "../recovery/archive-tail.ts";
import { syncDirectory } from "../recovery/durable-file.ts";
import { readImages } from "../recovery/images-file.ts";
import { type IndexFile, writeIndex } from "../recovery/index-file.ts";
import {
	formatVersion,
	type Manifest,
	type ManifestPart,
	type PointClass,
	type PointKind,
	type SafetyOccasion,
} from "../recovery/manifest.ts";
import { freshStamp, NameTakenError, partNames, pointFileName } from "../recovery/names.ts";
import { listPoints, type RecoveryPoint } from "../recovery/points.ts";
import { workDirectoryName } from "../recovery/sweep.ts";
import { AppendFile } from "./append-file.ts";
import { ArchiveWriter } from "./archive-writer.ts";
import { start } from "./children.ts";
import { compressor } from "./compressor.ts";
import { type AgentConfig, type FileSet, fileSets, readSecret } from "./config.ts";
import { explain } from "./failure.ts";
import {
	archiveDirectory,
	dumpDatabase,
	dumpGlobals,
	type PartRun,
	snapshotCache,
	writePart,
} from "./parts.ts";
import { openPipesAhead, writePipe } from "./pipe.ts";
import { Progress, type Report } from "./progress.ts";
import { encryptArchive, readBack } from "./seal.ts";
import { openSnapshot, type Snapshot } from "./snapshot.ts";
import { estimate, freeBytes, requireSpace } from "./space.ts";
import { tarEnd, tarHeader, tarPadding } from "./tar-header.ts";

export interface RunContext {
	readonly config: AgentConfig;
	readonly report: Report;
	/** Ends the run; whatever it has made is removed. */
	readonly signal: AbortSignal;
}

export interface MadePoint {
	readonly index: IndexFile;
	/** Seconds until the archive was complete and on the disk, and for reading it back. */
	readonly seconds: { readonly making: number; readonly verifying: number };
}

/** A full disk is what is left of it. */
const almostNothing = 4 << 20;

/**
 * Makes it. The caller holds the stack's lock.
 *
 * @throws AgentError; nothing of the run is left then, and what was there before is untouched.
 */
export async function makeRecoveryPoint(
	context: RunContext,
	kind: PointKind,
	pointClass: PointClass,
	before?: SafetyOccasion,
): Promise<MadePoint> {
	const { config } = context;
	const run = new AbortController();
	const signal = AbortSignal.any([context.signal, run.signal]);
	let work: string | undefined;
	try {
		const { stamp, startedAt } = await chooseName(config, signal);
		work = join(config.backupDirectory, workDirectoryName(config.stack, stamp));
		await mkdir(work, { mode: 0o700 });
		return await make({ ...context, signal }, { kind, pointClass, before, stamp, startedAt, work });
	} catch (error) {
		run.abort();
		const isFull =
			work !== undefined && (await freeBytes(config.backupDirectory).catch(() => 1e9)) < almostNothing;
		if (work) await rm(work, { recursive: true, force: true });
		if (context.signal.aborted) throw context.signal.reason;
		throw explain(isFull ? { code: "ENOSPC" } : error, config.backupDirectory);
	}
}

/** Waits for the next second when one was made in this one. */
async function chooseName(
	config: AgentConfig,
	signal: AbortSignal,
): Promise<{ stamp: string; startedAt: Date }> {
	for (let attempt = 1; ; attempt++) {
		const startedAt = new Date();
		try {
			const names = await readdir(config.backupDirectory);
			return { stamp: freshStamp(startedAt, config.timeZone, names), startedAt };
		} catch (error) {
			if (!(error instanceof NameTakenError) || attempt === 3) throw error;
			await sleep(1100, undefined, { signal });
		}
	}
}

/** What kind of point is made, and where it stands. */
interface Plan {
	readonly kind: PointKind;
	readonly pointClass: PointClass;
	readonly before: SafetyOccasion | undefined;
	readonly stamp: string;
	readonly startedAt: Date;
	/** Directory of the unfinished files. */
	readonly work: string;
}

/** The sources that a point is read from, as they are while it is made. */
interface Sources {
	readonly run: PartRun;
	readonly snapshot: Snapshot;
	readonly password: string;
	readonly describe: (rows: Record<string, number>, parts: readonly ManifestPart[]) => Promise<Manifest>;
}

interface Written {
	readonly manifest: Manifest;
	readonly tail?: ArchiveTail;
}

async function make(context: RunContext, plan: Plan): Promise<MadePoint> {
	const { config, report, signal } = context;
	const began = performance.now();
	const warnings: string[] = [];
	const warn = (message: string): void => {
		warnings.push(message);
		report({ event: "warning", message });
	};
	const password = readSecret(config.database.passwordFile, warn);
	const pipes = plan.kind === "full" ? 2 + 2 * fileSets(config).length : 1;
	const openPipe = openPipesAhead(pipes, signal);
	const points = listPoints(config.backupDirectory, config.timeZone);
	// Waited for below; until then its failure is not unhandled.
	points.catch(() => undefined);
	const snapshot = await openSnapshot(config.database, password, config.tableLockSeconds, signal);
	let run: PartRun;
	let written: Written;
	try {
		run = {
			...plan,
			config,
			signal,
			warn,
			openPipe,
			progress: await prepare(context, plan, snapshot, await points),
		};
		const describe: Sources["describe"] = (rows, parts) =>
			manifestOf(config, plan, snapshot, { rows, parts, warnings });
		const write = plan.kind === "full" ? writeArchive : writeDump;
		written = await write({ run, snapshot, password, describe }, fileName(config, plan, false));
	} finally {
		await snapshot.close();
	}
	const { manifest, tail } = written;
	const made = performance.now();
	const plain = fileName(config, plan, false);
	let stored = await readBack(run, plain, manifest, report);
	const verified = performance.now();
	const encrypted = config.recipients.length > 0;
	if (encrypted) stored = await encryptArchive(run, plain);
	const index: IndexFile = {
		formatVersion: 1,
		archive: fileName(config, plan, encrypted),
		...stored,
		encrypted,
		manifest,
		...(tail && !encrypted ? { tail } : {}),
		verified: { ok: true, how: encrypted ? "bytes" : "content", at: new Date().toISOString() },
	};
	// The index first: an archive under its final name always has one, and an index alone is swept.
	await writeIndex(config.backupDirectory, index);
	await rename(join(plan.work, index.archive), join(config.backupDirectory, index.archive));
	await syncDirectory(config.backupDirectory);
	await rm(plan.work, { recursive: true, force: true });
	const seconds = { making: (made - began) / 1000, verifying: (verified - made) / 1000 };
	return { index, seconds };
}

function fileName({ compression }: AgentConfig, { kind, stamp }: Plan, encrypted: boolean): string {
	return pointFileName({ kind, stamp, compression, encrypted });
}

/** Asks whether it will fit, before anything is written. */
async function prepare(
	{ config, report, signal }: RunContext,
	{ kind, startedAt }: Plan,
	snapshot: Snapshot,
	points: readonly RecoveryPoint[],
): Promise<Progress> {
	const source = {
		stack: config.stack,
		databaseSize: snapshot.databaseSize,
		directories: fileSets(config).map((set) => set.directory),
		encrypted: config.recipients.length > 0,
	};
	const expected = await estimate(kind, points, source, startedAt, signal);
	await requireSpace(config.backupDirectory, expected.disk);
	return new Progress(report, kind === "full" ? "full backup" : "database backup", expected.work);
}

/**
 * All parts at once. The dump is compressed into a file while it is made, together with the manifest that follows
 * it; that file is taken over while it still grows, as soon as everything that stands before it is in the archive.
 */
async function writeArchive(sources: Sources, file: string): Promise<Written> {
	const { run, snapshot, password, describe } = sources;
	const { config, stamp, startedAt, work, signal } = run;
	const names = partNames(stamp, config.compression);
	const writer = await ArchiveWriter.create(join(work, file), config.compression, startedAt);
	const packed = join(work, "database.compressed");
	const packer = await startCompressor(run, packed);
	try {
		const dump = dumpDatabase(run, snapshot, password, (chunk) => writePipe(packer.input, chunk));
		const read = Promise.all([dump, snapshot.countRows()]);
		const before = storeOthers(sources, writer);
		const packing = (async () => {
			const [[database, rows], parts] = await Promise.all([read, before]);
			await snapshot.mustBeHeld();
			const manifest = await describe(rows, [...parts, database]);
			const text = Buffer.from(`${JSON.stringify(manifest, null, "\t")}\n`);
			const end = Buffer.concat([
				tarPadding(database.size),
				tarHeader(names.manifest, text.length, startedAt),
				text,
				tarPadding(text.length),
				tarEnd,
			]);
			await writePipe(packer.input, end);
			await packer.input.close();
			await packer.exit;
			return { manifest, size: database.size, length: database.size + end.length };
		})();
		const finishing = before.then(() => writer.finish(names.database, packed, packing));
		const [{ manifest }, tail] = await together(signal, [packing, finishing]);
		await rm(packed);
		return { manifest, tail };
	} catch (error) {
		await writer.abandon();
		await packer.input.close().catch(() => undefined);
		// Why the compressor ended says more than that its input was closed.
		if ((error as NodeJS.ErrnoException).code === "EPIPE") await packer.exit;
		throw error;
	}
}

/**
 * Everything but the database, into the archive. The first archive of files goes straight there, what is small
 * through files of its own.
 *
 * @returns the parts in their order.
 */
async function storeOthers(
	{ run, snapshot, password }: Sources,
	writer: ArchiveWriter,
): Promise<ManifestPart[]> {
	const { config, stamp, work } = run;
	const names = partNames(stamp, config.compression);
	const [first, ...rest] = fileSets(config) as [FileSet, ...FileSet[]];
	const [firstPart, globals, redis, ...others] = await Promise.all([
		archiveDirectory(run, first, (content) => writer.storeStream(names.files(first.name), content)),
		dumpGlobals(run, snapshot, password),
		snapshotCache(run),
		...rest.map((set) =>
			archiveDirectory(run, set, (content) => writePart(run, names.files(set.name), content)),
		),
	]);
	const small = [...others, redis, globals];
	for (const part of small) {
		if (part === globals) writer.beginTail();
		await writer.storeFile(part.name, join(work, part.name));
		await rm(join(work, part.name));
	}
	return [firstPart, ...small];
}

async function writeDump({ run, snapshot, password, describe }: Sources, name: string): Promise<Written> {
	const file = await AppendFile.create(join(run.work, name));
	try {
		const [database, rows] = await together(run.signal, [
			dumpDatabase(run, snapshot, password, (chunk) => file.append(chunk)),
			snapshot.countRows(),
		]);
		await snapshot.mustBeHeld();
		await file.finish();
		return { manifest: await describe(rows, [database]) };
	} catch (error) {
		await file.abandon();
		throw error;
	}
}

/** Waits for all, so that nothing runs on when one fails; the first failure in time is the reason. */
async function together<T extends readonly Promise<unknown>[]>(
	signal: AbortSignal,
	jobs: readonly [...T],
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
	const stop = new Promise<never>((_, reject) => {
		signal.addEventListener("abort", () => reject(signal.reason), { once: true });
	});
	stop.catch(() => undefined);
	return (await Promise.race([Promise.all(jobs), stop])) as { [K in keyof T]: Awaited<T[K]> };
}

/** Compresses into a file what is written to `input`. */
async function startCompressor({ config, openPipe, signal }: PartRun, path: string) {
	const { reader, writer } = await openPipe();
	const file = await open(path, "wx", 0o600);
	try {
		const { command, args } = compressor(config.compression);
		const { exit } = start(command, args, { signal, stdio: [reader.fd, file.fd, "pipe"] });
		return { input: writer, exit };
	} finally {
		await reader.close();
		await file.close();
	}
}

async function manifestOf(
	config: AgentConfig,
	{ kind, pointClass, before, startedAt }: Plan,
	snapshot: Snapshot,
	{
		rows,
		parts,
		warnings,
	}: { rows: Record<string, number>; parts: readonly ManifestPart[]; warnings: string[] },
): Promise<Manifest> {
	return {
		formatVersion,
		stack: config.stack,
		class: pointClass,
		...(before ? { before } : {}),
		kind,
		startedAt: startedAt.toISOString(),
		snapshotAt: snapshot.takenAt.toISOString(),
		completedAt: new Date().toISOString(),
		timeZone: config.timeZone,
		compression: kind === "full" ? config.compression : "none",
		images: await readImages(config.backupDirectory, config.stack),
		database: { ...snapshot.facts, rows },
		parts: [...parts],
		warnings,
	};
}
