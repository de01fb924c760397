/** The parts of a recovery point, each read from its source and described for the manifest. */
import { join } from "node:path";
import { hashFile, Meter } from "../recovery/archive-reader.ts";
import type { ManifestPart } from "../recovery/manifest.ts";
import { partNames } from "../recovery/names.ts";
import { AppendFile } from "./append-file.ts";
import { output, start } from "./children.ts";
import { type AgentConfig, type FileSet, readSecret } from "./config.ts";
import { AgentError } from "./failure.ts";
import { archiveFiles } from "./file-archive.ts";
import { type Pipe, readPipe } from "./pipe.ts";
import type { Progress } from "./progress.ts";
import { snapshotRedis } from "./redis-snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

/** The run that parts are made in. */
export interface PartRun {
	readonly config: AgentConfig;
	/** Time in the names of its files. */
	readonly stamp: string;
	readonly startedAt: Date;
	/** Directory of the unfinished files. */
	readonly work: string;
	readonly signal: AbortSignal;
	readonly progress: Progress;
	readonly openPipe: () => Promise<Pipe>;
	readonly warn: (message: string) => void;
}

/** Dumps the database as it was in the snapshot. */
export async function dumpDatabase(
	run: PartRun,
	snapshot: Snapshot,
	password: string,
	take: (chunk: Buffer) => Promise<void>,
): Promise<ManifestPart> {
	const { config, signal, stamp, progress } = run;
	const { host, port, name, user } = config.database;
	const args = ["--format=plain", "--no-password", `--snapshot=${snapshot.id}`];
	args.push(`--lock-wait-timeout=${config.tableLockSeconds}s`);
	args.push(`--host=${host}`, `--port=${port}`, `--username=${user}`, `--dbname=${name}`);
	const { reader, writer } = await run.openPipe();
	const { exit } = start("pg_dump", args, {
		signal,
		env: { PGPASSWORD: password },
		stdio: ["ignore", writer.fd, "pipe"],
	});
	await writer.close();
	const meter = new Meter();
	for await (const chunk of readPipe(reader)) {
		meter.add(chunk);
		progress.add(chunk.length);
		await take(chunk);
	}
	await exit;
	if (meter.bytes === 0) throw new AgentError("pg_dump wrote nothing and said nothing");
	return { name: partNames(stamp, "gzip").database, holds: "database", ...meter.result() };
}

/** What a dump of one database leaves out: roles, and the database's own settings. */
export async function dumpGlobals(run: PartRun, snapshot: Snapshot, password: string): Promise<ManifestPart> {
	const { config, signal, stamp } = run;
	const { host, port, user } = config.database;
	const args = ["--roles-only", "--no-password", `--host=${host}`, `--port=${port}`, `--username=${user}`];
	const roles = await output("pg_dumpall", args, { signal, env: { PGPASSWORD: password } });
	if (!roles.includes("CREATE ROLE")) throw new AgentError("pg_dumpall wrote no roles");
	const text = `${roles}\n--\n-- The database's own settings\n--\n\n${snapshot.settingsSql}\n`;
	const name = partNames(stamp, "gzip").globals;
	const meter = new Meter();
	await writePart(run, name, meter.pass(oneChunk(Buffer.from(text))));
	return { name, holds: "globals", ...meter.result() };
}

/** One directory; `take` puts its compressed tar where it belongs. */
export async function archiveDirectory(
	run: PartRun,
	set: FileSet,
	take: (content: AsyncIterable<Buffer>) => Promise<void>,
): Promise<ManifestPart> {
	const { compression } = run.config;
	const archive = await archiveFiles(run, set, compression);
	const meter = new Meter();
	let counted = 0;
	await take(
		meter.pass(archive.content, (bytes) => {
			run.progress.add(bytes - counted);
			counted = bytes;
		}),
	);
	const { warnings, ...facts } = await archive.finished;
	for (const warning of warnings) run.warn(warning);
	if (facts.entries === 0)
		throw new AgentError(`${set.name} could not be read: tar archived nothing of ${set.directory}`);
	const name = partNames(run.stamp, compression).files(set.name);
	return { name, holds: set.name, ...meter.result(), ...facts };
}

/** Redis, by its own snapshot. */
export async function snapshotCache(run: PartRun): Promise<ManifestPart> {
	const { redis } = run.config;
	const name = partNames(run.stamp, "gzip").redis;
	const path = join(run.work, name);
	const password = readSecret(redis.passwordFile, run.warn);
	await snapshotRedis(redis, password, path, run.startedAt, run.signal);
	return { name, holds: "redis", ...(await hashFile(path)) };
}

/** Writes an unfinished file of the run. */
export async function writePart(
	{ work }: Pick<PartRun, "work">,
	name: string,
	content: AsyncIterable<Buffer>,
): Promise<void> {
	const file = await AppendFile.create(join(work, name));
	try {
		for await (const chunk of content) await file.append(chunk);
		await file.finish();
	} catch (error) {
		await file.abandon();
		throw error;
	}
}

export async function* oneChunk(bytes: Buffer): AsyncGenerator<Buffer> {
	yield bytes;
}
