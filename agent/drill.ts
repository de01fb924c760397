/** The drill: a recovery point is restored into a scratch database and a scratch directory, and compared. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	drain,
	hashFile,
	keepOpen,
	Meter,
	openContent,
	type ReadOptions,
	readFileChunks,
	readWhole,
	type StoredBytes,
} from "../recovery/archive-reader.ts";
import { DamagedError, WrongKeyError } from "../recovery/damaged-error.ts";
import { type DrillRecord, recordDrill } from "../recovery/drill-file.ts";
import type { IndexFile } from "../recovery/index-file.ts";
import type { ManifestPart } from "../recovery/manifest.ts";
import { parsePointName } from "../recovery/names.ts";
import { listPoints, newestGoodFull } from "../recovery/points.ts";
import { walkTar } from "../recovery/tar-reader.ts";
import { output, start } from "./children.ts";
import type { AgentConfig } from "./config.ts";
import { decompressBy } from "./decompress.ts";
import { AgentError, exitCodes } from "./failure.ts";
import { oneChunk } from "./parts.ts";
import { Progress } from "./progress.ts";
import type { RunContext } from "./recovery-point.ts";
import { asDatabaseUser, feed, ScratchDatabase } from "./scratch-database.ts";
import { freeBytes } from "./space.ts";

export interface DrillOptions {
	/** @default the newest good full recovery point */
	readonly file?: string;
	/** File with the age identity, for an encrypted one. */
	readonly identity?: string;
}

/**
 * Restores it and keeps the result as evidence. The backups go on meanwhile: an archive that retention deletes
 * while it is open stays readable.
 *
 * @throws AgentError when the drill could not be held, which says nothing about the recovery point.
 */
export async function drill(context: RunContext, options: DrillOptions): Promise<DrillRecord> {
	const { config, report, signal } = context;
	const index = await choose(config, options);
	await requireRoom(config, index);
	const startedAt = new Date();
	report({ event: "step", step: "starting a scratch database" });
	const directory = join(config.scratchDirectory, "postgres");
	const database = await ScratchDatabase.start(directory, config.database.user, signal);
	try {
		const run = new DrillRun(context, index, database, options.identity);
		await run.restore();
		await run.compare();
		const endedAt = new Date();
		const record: DrillRecord = {
			file: index.archive,
			sha256: index.sha256,
			pointAt: index.manifest.startedAt,
			startedAt: startedAt.toISOString(),
			endedAt: endedAt.toISOString(),
			outcome: run.problems.length === 0 ? "passed" : "failed",
			problems: run.problems,
			postgresVersion: database.version,
			...run.counts,
			seconds: (endedAt.getTime() - startedAt.getTime()) / 1000,
		};
		await recordDrill(config.backupDirectory, config.stack, record);
		return record;
	} finally {
		await database.stop();
	}
}

async function choose(config: AgentConfig, { file, identity }: DrillOptions): Promise<IndexFile> {
	const points = await listPoints(config.backupDirectory, config.timeZone);
	const point = file
		? points.find((one) => one.file === file)
		: newestGoodFull(points, config.stack, new Date());
	if (!point) {
		throw new AgentError(
			file
				? `there is no recovery point ${file}; see them with ./docker-dev.sh backup list`
				: "there is no good full recovery point to restore; make one: ./docker-dev.sh backup",
			file ? exitCodes.usage : exitCodes.failed,
		);
	}
	if (point.kind !== "full" || !point.index) {
		throw new AgentError(
			`${point.file} is no full recovery point with a manifest, so there is nothing to compare a restore with; name another, or none`,
			exitCodes.usage,
		);
	}
	if (point.stack !== config.stack) {
		throw new AgentError(
			`${point.file} is of stack ${point.stack}, and a drill here is evidence for stack ${config.stack}; name another, or none`,
			exitCodes.usage,
		);
	}
	if (point.encrypted && identity === undefined) {
		throw new AgentError(
			`${point.file} is encrypted, and a drill has to read its content; name the private key: --identity FILE`,
			exitCodes.credentials,
		);
	}
	return point.index;
}

/** Rough, and said before anything is begun; a disk that gets full all the same is told from a bad archive. */
async function requireRoom({ scratchDirectory }: AgentConfig, { manifest }: IndexFile): Promise<void> {
	const free = await freeBytes(scratchDirectory);
	const needed = manifest.parts.reduce(
		// A database is about twice its dump, with its indexes; most media do not compress.
		(total, part) => total + part.size * (part.holds === "database" ? 2 : 1.1),
		100e6,
	);
	if (free >= needed) return;
	throw new AgentError(
		`a drill of this recovery point needs about ${(needed / 1e6).toFixed(0)} MB in ${scratchDirectory}, and ${(free / 1e6).toFixed(0)} MB are free; nothing was restored. Free space on the disk with Docker's volumes`,
	);
}

/** A full disk is what is left of it. */
const almostNothing = 4 << 20;

class DrillRun {
	readonly #context: RunContext;
	readonly #index: IndexFile;
	readonly #database: ScratchDatabase;
	readonly #reading: Pick<ReadOptions, "identity" | "decompress">;
	readonly #seen = new Set<string>();
	readonly problems: string[] = [];
	readonly counts = { tables: 0, rows: 0, files: {} as Record<string, number> };

	constructor(
		context: RunContext,
		index: IndexFile,
		database: ScratchDatabase,
		identity: string | undefined,
	) {
		this.#context = context;
		this.#index = index;
		this.#database = database;
		this.#reading = { identity, decompress: decompressBy(context.signal) };
	}

	/** One pass over the archive: each part goes where it belongs as it comes. */
	async restore(): Promise<void> {
		const { config, report, signal } = this.#context;
		const { archive, manifest, size, sha256 } = this.#index;
		const path = join(config.backupDirectory, archive);
		const name = parsePointName(archive) as NonNullable<ReturnType<typeof parsePointName>>;
		const progress = new Progress(report, `restoring ${archive}`, size);
		await this.#database.create(manifest.database);
		const stored = new Meter();
		const bytes = stored.pass(readFileChunks(path, signal), (count) => progress.set(count));
		try {
			await walkTar(openContent(bytes, name, this.#reading), (header, content) =>
				this.#restorePart(header.name, content),
			);
			const read = stored.result();
			if (read.size !== size || read.sha256 !== sha256)
				this.problems.push("the stored file is not the one that was written: its SHA-256 is another");
		} catch (error) {
			if (!(error instanceof DamagedError)) throw error;
			if (name.encrypted && (await hashFile(path, { signal })).sha256 === sha256) {
				throw new WrongKeyError(archive, error.message);
			}
			this.problems.push(error.message);
		}
	}

	async #restorePart(name: string, content: AsyncIterable<Buffer>): Promise<void> {
		const part = this.#index.manifest.parts.find((one) => one.name === name);
		const meter = new Meter();
		const metered = keepOpen(meter.pass(content));
		if (part) {
			this.#seen.add(name);
			try {
				await this.#put(part, metered);
			} catch (error) {
				if (this.#context.signal.aborted) throw error;
				const { message } = error as Error;
				const full = (await freeBytes(this.#context.config.scratchDirectory)) < almostNothing;
				// A full disk is no fault of the archive.
				if (full || /No space left on device/i.test(message)) throw noRoom(this.#context.config);
				this.problems.push(`${name}: ${message.replace(/^setpriv failed: /, "")}`);
			}
		}
		await drain(metered);
		if (part) this.#compareBytes(part, meter.result());
	}

	#compareBytes(part: ManifestPart, { size, sha256 }: StoredBytes): void {
		if (size !== part.size || sha256 !== part.sha256)
			this.problems.push(`${part.name} differs from the manifest: its SHA-256 is another`);
	}

	async #put(part: ManifestPart, content: AsyncIterable<Buffer>): Promise<void> {
		const { manifest } = this.#index;
		if (part.holds === "database") return await this.#database.run(manifest.database.name, content);
		if (part.holds === "globals") return await this.#applyRoles(content);
		if (part.holds === "redis") return await this.#checkRedis(content);
		const compression = manifest.compression === "zstd" ? "zstd" : "gzip";
		await this.#unpack(part, openContent(content, { compression, encrypted: false }, this.#reading));
	}

	/** All roles but the first, which is there. */
	async #applyRoles(content: AsyncIterable<Buffer>): Promise<void> {
		const first = RegExp.escape(this.#context.config.database.user);
		const text = (await readWhole(content)).toString("utf8");
		const others = text.replace(new RegExp(`^CREATE ROLE "?${first}"?;$`, "m"), "");
		await this.#database.run("postgres", oneChunk(Buffer.from(others)));
	}

	/** As a user that owns nothing else; owners are not restored, which takes root. */
	async #unpack(part: ManifestPart, tar: AsyncIterable<Buffer>): Promise<void> {
		const { config, signal } = this.#context;
		const directory = join(config.scratchDirectory, part.holds);
		await output(...asDatabaseUser("mkdir", [directory]), { signal });
		const args = ["--extract", "--file=-", `--directory=${directory}`, "--same-permissions"];
		args.push("--delay-directory-restore");
		const stdio = ["pipe", "ignore", "pipe"] as const;
		await feed(tar, start(...asDatabaseUser("tar", args), { signal, stdio: [...stdio] }));
		const found = await output("find", [directory, "-mindepth", "1", "!", "-type", "d", "-printf", "."], {
			signal,
		});
		this.counts.files[part.holds] = found.length;
		if (part.files !== undefined && found.length !== part.files) {
			this.problems.push(`${part.name} unpacked to ${found.length} files, the manifest says ${part.files}`);
		}
	}

	async #checkRedis(content: AsyncIterable<Buffer>): Promise<void> {
		const { config, signal } = this.#context;
		const directory = join(config.scratchDirectory, "redis");
		await mkdir(directory);
		const file = join(directory, "dump.rdb");
		await writeFile(file, content);
		const said = await output("redis-check-rdb", [file], { signal });
		if (!/RDB looks OK/i.test(said)) throw new AgentError(`redis-check-rdb says: ${said.trim().slice(-500)}`);
	}

	/** What was restored against what the manifest says. */
	async compare(): Promise<void> {
		const { manifest } = this.#index;
		this.#context.report({ event: "step", step: "comparing rows with the manifest" });
		for (const part of manifest.parts) {
			if (!this.#seen.has(part.name)) this.problems.push(`${part.name} is missing`);
		}
		const found = await this.#database.countRows(manifest.database.name);
		this.counts.tables = Object.keys(found).length;
		this.counts.rows = Object.values(found).reduce((total, rows) => total + rows, 0);
		for (const [table, rows] of Object.entries(manifest.database.rows)) {
			if (found[table] === undefined) this.problems.push(`table ${table} is missing`);
			else if (found[table] !== rows)
				this.problems.push(`table ${table} has ${found[table]} rows, the manifest says ${rows}`);
		}
		for (const table of Object.keys(found)) {
			if (manifest.database.rows[table] === undefined)
				this.problems.push(`table ${table} is not in the manifest`);
		}
	}
}

function noRoom({ scratchDirectory }: AgentConfig): AgentError {
	return new AgentError(
		`the disk with ${scratchDirectory} is full; the drill was given up, which says nothing about the recovery point. Free space on the disk with Docker's volumes`,
	);
}
