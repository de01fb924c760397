/** Makes one recovery point: all its parts at once, checked, and only then under its final name. */
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hashFile, Meter, type StoredBytes } from "../recovery/archive-reader.ts";
import { syncDirectory, syncFile } from "../recovery/durable-file.ts";
import { type IndexFile, writeIndex } from "../recovery/index-file.ts";
import type { Manifest, ManifestPart, PointClass, PointKind } from "../recovery/manifest.ts";
import { freshStamp, NameTakenError, partNames, pointFileName } from "../recovery/names.ts";
import { listPoints } from "../recovery/points.ts";
import { workDirectoryName } from "../recovery/sweep.ts";
import { verifyPoint } from "../recovery/verify.ts";
import { AppendFile } from "./append-file.ts";
import { ArchiveWriter } from "./archive-writer.ts";
import { output, start } from "./children.ts";
import { compressor } from "./compressor.ts";
import { type AgentConfig, type FileSet, fileSets, readSecret } from "./config.ts";
import { AgentError, explain } from "./failure.ts";
import { archiveFiles } from "./file-archive.ts";
import { openPipe, readPipe, writePipe } from "./pipe.ts";
import { Progress, type Report } from "./progress.ts";
import { snapshotRedis } from "./redis-snapshot.ts";
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
): Promise<MadePoint> {
	const { config } = context;
	const run = new AbortController();
	const signal = AbortSignal.any([context.signal, run.signal]);
	let work: string | undefined;
	try {
		const { stamp, startedAt } = await chooseName(config, signal);
		work = join(config.backupDirectory, workDirectoryName(config.stack, stamp));
		await mkdir(work, { mode: 0o700 });
		return await new PointMaker({ ...context, signal }, kind, pointClass, work, stamp, startedAt).make();
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

class PointMaker {
	readonly #context: RunContext;
	readonly #config: AgentConfig;
	readonly #signal: AbortSignal;
	readonly #kind: PointKind;
	readonly #class: PointClass;
	readonly #work: string;
	readonly #stamp: string;
	readonly #startedAt: Date;
	readonly #warnings: string[] = [];
	#progress: Progress;

	constructor(
		context: RunContext,
		kind: PointKind,
		pointClass: PointClass,
		work: string,
		stamp: string,
		startedAt: Date,
	) {
		this.#context = context;
		this.#config = context.config;
		this.#signal = context.signal;
		this.#kind = kind;
		this.#class = pointClass;
		this.#work = work;
		this.#stamp = stamp;
		this.#startedAt = startedAt;
		this.#progress = new Progress(() => undefined, "", 0);
	}

	async make(): Promise<MadePoint> {
		const config = this.#config;
		const began = performance.now();
		const password = readSecret(config.database.passwordFile, this.#warn);
		const snapshot = await openSnapshot(config.database, password, config.tableLockSeconds, this.#signal);
		let manifest: Manifest;
		try {
			await this.#prepare(snapshot);
			manifest =
				this.#kind === "full"
					? await this.#writeArchive(snapshot, password)
					: await this.#writeDump(snapshot, password);
		} finally {
			await snapshot.close();
		}
		const made = performance.now();
		const plain = this.#fileName(false);
		let stored = await this.#verify(plain, manifest);
		const verified = performance.now();
		const encrypted = config.recipients.length > 0;
		if (encrypted) stored = await this.#encrypt(plain);
		const index: IndexFile = {
			formatVersion: 1,
			archive: this.#fileName(encrypted),
			...stored,
			encrypted,
			manifest,
			verified: { ok: true, how: encrypted ? "bytes" : "content", at: new Date().toISOString() },
		};
		// The index first: an archive under its final name always has one, and an index alone is swept.
		await writeIndex(config.backupDirectory, index);
		await rename(join(this.#work, index.archive), join(config.backupDirectory, index.archive));
		await syncDirectory(config.backupDirectory);
		await rm(this.#work, { recursive: true, force: true });
		const seconds = { making: (made - began) / 1000, verifying: (verified - made) / 1000 };
		return { index, seconds };
	}

	#fileName(encrypted: boolean): string {
		return pointFileName({
			kind: this.#kind,
			stamp: this.#stamp,
			compression: this.#config.compression,
			encrypted,
		});
	}

	readonly #warn = (message: string): void => {
		this.#warnings.push(message);
		this.#context.report({ event: "warning", message });
	};

	async #prepare(snapshot: Snapshot): Promise<void> {
		const { config } = this.#context;
		const points = await listPoints(config.backupDirectory, config.timeZone);
		const source = {
			stack: config.stack,
			databaseSize: snapshot.databaseSize,
			directories: fileSets(config).map((set) => set.directory),
			encrypted: config.recipients.length > 0,
		};
		const expected = await estimate(this.#kind, points, source, this.#startedAt, this.#signal);
		await requireSpace(config.backupDirectory, expected.disk);
		const step = this.#kind === "full" ? "full backup" : "database backup";
		this.#progress = new Progress(this.#context.report, step, expected.work);
	}

	/**
	 * All parts at once. The first archive of files goes straight into the outer archive, the small ones through
	 * files, and the dump is compressed while it is made, together with the manifest that follows it.
	 */
	async #writeArchive(snapshot: Snapshot, password: string): Promise<Manifest> {
		const { compression } = this.#config;
		const names = partNames(this.#stamp, compression);
		const writer = await ArchiveWriter.create(
			join(this.#work, this.#fileName(false)),
			compression,
			this.#startedAt,
		);
		const tail = join(this.#work, "database.compressed");
		const packer = await this.#startTail(tail);
		try {
			const [first, ...rest] = fileSets(this.#config) as [FileSet, ...FileSet[]];
			const firstName = names.files(first.name);
			const firstWritten = this.#archive(first, (content) => writer.storeStream(firstName, content));
			const [database, rows, firstPart, globals, redis, ...others] = await this.#together([
				this.#dump(snapshot, password, (chunk) => writePipe(packer.input, chunk)),
				snapshot.countRows(),
				firstWritten,
				this.#globals(snapshot, password),
				this.#redis(),
				...rest.map((set) => this.#archive(set, (content) => this.#toFile(names.files(set.name), content))),
			]);
			await snapshot.mustBeHeld();
			const stored = [...(others as ManifestPart[]), redis, globals];
			for (const part of stored) {
				await writer.storeFile(part.name, join(this.#work, part.name));
				await rm(join(this.#work, part.name));
			}
			const manifest = this.#manifest(snapshot, rows, [firstPart, ...stored, database]);
			const text = Buffer.from(`${JSON.stringify(manifest, null, "\t")}\n`);
			const end = Buffer.concat([
				tarPadding(database.size),
				tarHeader(names.manifest, text.length, this.#startedAt),
				text,
				tarPadding(text.length),
				tarEnd,
			]);
			await writePipe(packer.input, end);
			await packer.input.close();
			await packer.exit;
			await writer.finish(database.name, database.size, tail, database.size + end.length);
			await rm(tail);
			await syncDirectory(this.#work);
			return manifest;
		} catch (error) {
			await writer.abandon();
			await packer.input.close().catch(() => undefined);
			// Why the compressor ended says more than that its input was closed.
			if ((error as NodeJS.ErrnoException).code === "EPIPE") await packer.exit;
			throw error;
		}
	}

	async #writeDump(snapshot: Snapshot, password: string): Promise<Manifest> {
		const file = await AppendFile.create(join(this.#work, this.#fileName(false)));
		try {
			const [database, rows] = await this.#together([
				this.#dump(snapshot, password, (chunk) => file.append(chunk)),
				snapshot.countRows(),
			]);
			await snapshot.mustBeHeld();
			await file.finish();
			await syncDirectory(this.#work);
			return this.#manifest(snapshot, rows, [database]);
		} catch (error) {
			await file.abandon();
			throw error;
		}
	}

	/** Waits for all, so that nothing runs on when one fails; the first failure in time is the reason. */
	async #together<T extends readonly Promise<unknown>[]>(
		jobs: readonly [...T],
	): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
		const stop = new Promise<never>((_, reject) => {
			this.#signal.addEventListener("abort", () => reject(this.#signal.reason), { once: true });
		});
		stop.catch(() => undefined);
		return (await Promise.race([Promise.all(jobs), stop])) as { [K in keyof T]: Awaited<T[K]> };
	}

	async #startTail(path: string) {
		const { reader, writer } = await openPipe(this.#signal);
		const file = await open(path, "wx", 0o600);
		try {
			const { command, args } = compressor(this.#config.compression);
			const { exit } = start(command, args, { signal: this.#signal, stdio: [reader.fd, file.fd, "pipe"] });
			return { input: writer, exit };
		} finally {
			await reader.close();
			await file.close();
		}
	}

	async #dump(
		snapshot: Snapshot,
		password: string,
		take: (chunk: Buffer) => Promise<void>,
	): Promise<ManifestPart> {
		const { host, port, name, user } = this.#config.database;
		const args = ["--format=plain", "--no-password", `--snapshot=${snapshot.id}`];
		args.push(`--lock-wait-timeout=${this.#config.tableLockSeconds}s`);
		args.push(`--host=${host}`, `--port=${port}`, `--username=${user}`, `--dbname=${name}`);
		const { reader, writer } = await openPipe(this.#signal);
		const { exit } = start("pg_dump", args, {
			signal: this.#signal,
			env: { PGPASSWORD: password },
			stdio: ["ignore", writer.fd, "pipe"],
		});
		await writer.close();
		const meter = new Meter();
		for await (const chunk of readPipe(reader)) {
			meter.add(chunk);
			this.#progress.add(chunk.length);
			await take(chunk);
		}
		await exit;
		if (meter.bytes === 0) throw new AgentError("pg_dump wrote nothing and said nothing");
		return { name: partNames(this.#stamp, "gzip").database, holds: "database", ...meter.result() };
	}

	/** One directory; `take` puts its compressed tar where it belongs. */
	async #archive(
		set: FileSet,
		take: (content: AsyncIterable<Buffer>) => Promise<void>,
	): Promise<ManifestPart> {
		const { compression } = this.#config;
		const archive = await archiveFiles(set.name, set.directory, compression, this.#signal);
		const meter = new Meter();
		let counted = 0;
		await take(
			meter.pass(archive.content, (bytes) => {
				this.#progress.add(bytes - counted);
				counted = bytes;
			}),
		);
		const { entries, files, warnings } = await archive.finished;
		for (const warning of warnings) this.#warn(warning);
		if (entries === 0)
			throw new AgentError(`${set.name} could not be read: tar archived nothing of ${set.directory}`);
		const name = partNames(this.#stamp, compression).files(set.name);
		return { name, holds: set.name, ...meter.result(), entries, files };
	}

	async #toFile(name: string, content: AsyncIterable<Buffer>): Promise<void> {
		const file = await AppendFile.create(join(this.#work, name));
		try {
			for await (const chunk of content) await file.append(chunk);
			await file.finish();
		} catch (error) {
			await file.abandon();
			throw error;
		}
	}

	/** What a dump of one database leaves out: roles, and the database's own settings. */
	async #globals(snapshot: Snapshot, password: string): Promise<ManifestPart> {
		const { host, port, user } = this.#config.database;
		const args = ["--roles-only", "--no-password", `--host=${host}`, `--port=${port}`, `--username=${user}`];
		const roles = await output("pg_dumpall", args, { signal: this.#signal, env: { PGPASSWORD: password } });
		if (!roles.includes("CREATE ROLE")) throw new AgentError("pg_dumpall wrote no roles");
		const text = `${roles}\n--\n-- The database's own settings\n--\n\n${snapshot.settingsSql}\n`;
		const name = partNames(this.#stamp, "gzip").globals;
		const bytes = Buffer.from(text);
		await this.#toFile(name, oneChunk(bytes));
		const meter = new Meter();
		meter.add(bytes);
		return { name, holds: "globals", ...meter.result() };
	}

	async #redis(): Promise<ManifestPart> {
		const { redis } = this.#config;
		const name = partNames(this.#stamp, "gzip").redis;
		const path = join(this.#work, name);
		const password = readSecret(redis.passwordFile, this.#warn);
		await snapshotRedis(redis, password, path, this.#startedAt, this.#signal);
		return { name, holds: "redis", ...(await hashFile(path)) };
	}

	#manifest(snapshot: Snapshot, rows: Record<string, number>, parts: ManifestPart[]): Manifest {
		return {
			formatVersion: 1,
			stack: this.#config.stack,
			class: this.#class,
			kind: this.#kind,
			startedAt: this.#startedAt.toISOString(),
			snapshotAt: snapshot.takenAt.toISOString(),
			completedAt: new Date().toISOString(),
			timeZone: this.#config.timeZone,
			compression: this.#kind === "full" ? this.#config.compression : "none",
			images: this.#config.images,
			database: { ...snapshot.facts, rows },
			parts,
			warnings: this.#warnings,
		};
	}

	/** Reads it back from the disk and compares it with what was made. */
	async #verify(file: string, manifest: Manifest): Promise<StoredBytes> {
		const path = join(this.#work, file);
		// Without this it would be read from memory, and the disk would not be asked.
		await output("dd", [`if=${path}`, "of=/dev/null", "iflag=nocache", "count=0", "status=none"], {
			signal: this.#signal,
		});
		const size = manifest.parts.reduce((total, part) => total + part.size, 0);
		const progress = new Progress(this.#context.report, "reading back", size);
		const result = await verifyPoint(this.#work, file, {
			signal: this.#signal,
			onProgress: (bytes) => progress.set(bytes),
		});
		const expected = JSON.stringify(
			manifest.parts.map(({ name, size, sha256 }) => [name, size, sha256]).sort(),
		);
		const found = JSON.stringify(result.parts.map(({ name, size, sha256 }) => [name, size, sha256]).sort());
		if (!result.ok || !result.stored || expected !== found) {
			throw new AgentError(
				`what was written does not read back as it was made: ${result.problems.join("; ") || "other parts"}; it was removed`,
			);
		}
		return result.stored;
	}

	/** Encrypts the archive that was verified; the plain one goes. */
	async #encrypt(plain: string): Promise<StoredBytes> {
		const source = join(this.#work, plain);
		const target = `${source}.age`;
		const recipients = this.#config.recipients.flatMap((recipient) => ["--recipient", recipient]);
		const { reader, writer } = await openPipe(this.#signal);
		const { exit } = start("age", ["--encrypt", ...recipients, source], {
			signal: this.#signal,
			stdio: ["ignore", writer.fd, "pipe"],
		});
		await writer.close();
		const meter = new Meter();
		await this.#toFile(`${plain}.age`, meter.pass(readPipe(reader)));
		await exit;
		await rm(source);
		await syncFile(target);
		const made = meter.result();
		const read = await hashFile(target, { signal: this.#signal });
		if (read.sha256 !== made.sha256 || read.size === 0) {
			throw new AgentError("the encrypted archive does not read back as it was written; it was removed");
		}
		return read;
	}
}

export async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
	yield bytes;
}
