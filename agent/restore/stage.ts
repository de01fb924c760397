/** Makes the new content beside the live one, which goes on being used. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { drain, type Meter } from "../../recovery/archive-reader.ts";
import { Exchange, hiddenPrefix, stagingName } from "../../recovery/exchange.ts";
import type { Manifest } from "../../recovery/manifest.ts";
import {
	type RestoreJournal,
	type RestoreTarget,
	replaces,
	writeRestoreJournal,
} from "../../recovery/restore-journal.ts";
import { output } from "../children.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { Progress } from "../progress.ts";
import type { RunContext } from "../recovery-point.ts";
import { mountOf, requireMount, sourceDirectory, type VolumeTarget, volumeTargets } from "./mounts.ts";
import {
	fileCompression,
	type OpenPart,
	openSource,
	type RestoreSource,
	readManifest,
	walkParts,
} from "./source.ts";
import { watchRoom } from "./space.ts";
import { DatabaseStage, type StagedDatabase } from "./stage-database.ts";
import { countFiles, stageRedis, unpackFiles } from "./stage-files.ts";

export interface StageResult extends Partial<StagedDatabase> {
	/** Files in each volume that was staged. */
	readonly files: Readonly<Record<string, number>>;
	readonly seconds: number;
	readonly warnings: readonly string[];
}

/** A part that was read: where its bytes went, they were counted and hashed. */
type Seen = Map<string, Meter>;

/**
 * Stages everything that the journal names: the database in one pass over the archive and the files in another at
 * the same time, since the server takes its rows more slowly than anybody reads.
 *
 * @throws AgentError; whoever calls it removes then what was staged.
 */
export async function stage(
	context: RunContext,
	journal: RestoreJournal,
	identity: string | undefined,
): Promise<StageResult> {
	const began = performance.now();
	const run = new AbortController();
	const signal = AbortSignal.any([context.signal, run.signal]);
	const warnings: string[] = [];
	const warn = (message: string) => {
		warnings.push(message);
		context.report({ event: "warning", message });
	};
	const volumes = volumeTargets.filter((target) => replaces(journal, target));
	const exchanges = new Map(volumes.map((target) => [target, prepareVolume(target, journal.id, warn)]));
	const source = await openSource(join(sourceDirectory, journal.archive));
	const manifest = await readManifest(source, { identity, signal });
	const stopWatching = watchRoom(
		[...volumes, ...(replaces(journal, "database") ? (["database"] as const) : [])],
		(reason) => run.abort(reason),
	);
	const progress = new Progress(context.report, "staging", workOf(source, manifest, journal));
	const seen: Seen = new Map();
	const job = { source, manifest, identity, signal, seen, progress, warn };
	const passes = [stageDatabase(context, job, journal), stageVolumes(job, journal, exchanges)] as const;
	const both = Promise.all(passes);
	// The first failure ends the other pass, and says more than what was ended by it.
	both.catch((error: unknown) => run.abort(error));
	await Promise.allSettled(passes);
	stopWatching();
	signal.throwIfAborted();
	const [database, files] = await both;
	requireParts(manifest, seen);
	await writeRestoreJournal(context.config.backupDirectory, { ...database.journal, phase: "staged" });
	const seconds = (performance.now() - began) / 1000;
	return { ...database.staged, files, seconds, warnings };
}

interface StageJob {
	readonly source: RestoreSource;
	readonly manifest?: Manifest;
	readonly identity?: string;
	readonly signal: AbortSignal;
	readonly seen: Seen;
	readonly progress: Progress;
	readonly warn: (message: string) => void;
}

/** The database and its roles. @returns what it holds, and what the journal has to say from now on. */
async function stageDatabase(
	{ config }: RunContext,
	job: StageJob,
	journal: RestoreJournal,
): Promise<{ staged?: StagedDatabase; journal: RestoreJournal }> {
	if (!replaces(journal, "database")) return { journal };
	const { signal, warn, manifest, seen, progress } = job;
	const stage = await DatabaseStage.begin({ config, signal, warn, manifest }, journal);
	try {
		await stageParts({ ...job, fromDatabase: true }, ["database"], async ({ name, holds, content }) => {
			if (holds === "globals") await stage.takeGlobals(content);
			else if (holds === "database")
				seen.set(name, await stage.load(content, (bytes) => progress.add(bytes)));
			else await drain(content);
		});
		return { staged: await stage.complete(), journal: stage.journal };
	} finally {
		await stage.close();
	}
}

/** @returns the files in each volume. */
async function stageVolumes(
	job: StageJob,
	{ redis }: RestoreJournal,
	exchanges: ReadonlyMap<VolumeTarget, Exchange>,
): Promise<Record<string, number>> {
	const files: Record<string, number> = {};
	const wanted = [...exchanges.keys()].filter((target) => target !== "redis" || redis !== "clear");
	await stageParts(job, wanted, async (part) => {
		const target = wanted.find((one) => one === part.holds);
		if (!target) return await drain(part.content);
		const count = await stageVolume(job, part, target, (exchanges.get(target) as Exchange).new);
		if (count !== undefined) files[target] = count;
	});
	for (const target of exchanges.keys())
		await output("sync", ["--file-system", mountOf(target)], { signal: job.signal });
	return files;
}

/** Reads the archive until all that is wanted has been visited. @throws AgentError where it does not hold it. */
async function stageParts(
	job: StageJob & { readonly fromDatabase?: boolean },
	targets: readonly RestoreTarget[],
	visit: (part: OpenPart) => Promise<void>,
): Promise<void> {
	const wanted = new Set<string>(targets);
	if (wanted.size === 0) return;
	const take = async (part: OpenPart) => {
		// A second one of a kind is passed over: it would mix with the first.
		const isSecond = targets.some((target) => target === part.holds) && !wanted.delete(part.holds);
		await (isSecond ? drain(part.content) : visit(part));
	};
	await walkParts(job.source, job, take, () => wanted.size === 0);
	if (wanted.size === 0) return;
	throw new AgentError(`${job.source.file} holds no ${[...wanted].join(" and no ")}`, exitCodes.invalid);
}

/** @returns the files that are there now; undefined for Redis, whose files are its own affair. */
async function stageVolume(
	{ manifest, signal, seen, progress, warn }: StageJob,
	{ name, content }: OpenPart,
	target: VolumeTarget,
	directory: string,
): Promise<number | undefined> {
	const add = (bytes: number) => progress.add(bytes);
	if (target === "redis") {
		seen.set(name, await stageRedis(content, directory, signal, add));
		return undefined;
	}
	const compression = fileCompression(name);
	const { meter, entries } = await unpackFiles(
		name,
		content,
		{ target, directory, compression },
		signal,
		add,
	);
	seen.set(name, meter);
	const noted = manifest?.parts.find((part) => part.name === name);
	if (noted?.entries !== undefined && noted.entries !== entries) {
		throw new AgentError(
			`${name} gave ${entries} entries, and ${noted.entries} were backed up`,
			exitCodes.invalid,
		);
	}
	const files = await countFiles(directory, signal);
	// The bytes are the right ones; a file that went away while it was backed up can have been counted.
	if (noted?.files !== undefined && noted.files !== files)
		warn(`${target} has ${files} files, and ${noted.files} were counted when it was backed up`);
	return files;
}

/** @throws AgentError when the bytes that were read are not those that were written. */
function requireParts(manifest: Manifest | undefined, seen: Seen): void {
	for (const [name, meter] of seen) {
		const part = manifest?.parts.find((one) => one.name === name);
		if (!part) continue;
		const { size, sha256 } = meter.result();
		if (size === part.size && sha256 === part.sha256) continue;
		throw new AgentError(
			`${name} is not what was backed up: ${size} bytes of SHA-256 ${sha256.slice(0, 12)}…, the manifest says ${part.size} of ${part.sha256.slice(0, 12)}…`,
			exitCodes.invalid,
		);
	}
}

/** The hidden directory, new; what a restore has left there whose journal is gone is removed. */
function prepareVolume(target: VolumeTarget, id: string, warn: (message: string) => void): Exchange {
	const root = requireMount(target);
	const leftOver = new RegExp(`^${RegExp.escape(hiddenPrefix)}-restore-[0-9a-f]{8}$`);
	for (const name of readdirSync(root).filter((one) => leftOver.test(one))) {
		const path = join(root, name);
		if (existsSync(join(path, "exchange.json"))) {
			warn(
				`${name} in the volume of ${target} holds what an earlier restore has put aside; it was left as it is`,
			);
			continue;
		}
		rmSync(path, { recursive: true, force: true });
		warn(`remains of an earlier restore were removed: ${name} in the volume of ${target}`);
	}
	const exchange = new Exchange(root, stagingName(id));
	exchange.prepare();
	return exchange;
}

/** Bytes that will be read, for the progress. */
function workOf(source: RestoreSource, manifest: Manifest | undefined, journal: RestoreJournal): number {
	if (!manifest || source.kind !== "full") return source.size;
	return manifest.parts
		.filter(({ holds }) => holds !== "globals" && replaces(journal, holds as VolumeTarget))
		.reduce((total, part) => total + part.size, 0);
}
