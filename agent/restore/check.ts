/** Everything that can be known before anything is touched: whether this file can be restored here. */
import { hashFile, openContent, type ReadOptions, readFileChunks } from "../../recovery/archive-reader.ts";
import { DamagedError } from "../../recovery/damaged-error.ts";
import type { Verification } from "../../recovery/index-file.ts";
import type { Manifest } from "../../recovery/manifest.ts";
import { instantOf, partNames } from "../../recovery/names.ts";
import { type RedisChoice, type RestoreTarget, restoreTargets } from "../../recovery/restore-journal.ts";
import { comparison, emptyFound, type Found, readContent, type SeenPart } from "../../recovery/verify.ts";
import { output, start } from "../children.ts";
import { decompressBy } from "../decompress.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { Progress } from "../progress.ts";
import type { RunContext } from "../recovery-point.ts";
import { connectBeside } from "./server.ts";
import { openSource, partContent, type RestoreSource, soleTarget } from "./source.ts";
import { type Needs, requireRoom } from "./space.ts";

export interface CheckRequest {
	readonly path: string;
	/** What is asked for; empty: all that a full restore brings. */
	readonly only: readonly RestoreTarget[];
	readonly redis: RedisChoice;
	readonly identity?: string;
	/** The server is not asked: it does not start, or not yet. */
	readonly rebuild: boolean;
}

export interface CheckResult {
	readonly file: string;
	readonly kind: RestoreSource["kind"];
	/** `old-script`: without a manifest. */
	readonly origin: "manifest" | "old-script";
	/** The stack that it was made of; null where nothing says so. */
	readonly stack: string | null;
	readonly class: string | null;
	readonly createdAt: string | null;
	readonly size: number;
	readonly encrypted: boolean;
	readonly verified: Verification;
	/** What will be replaced by what is in it. */
	readonly targets: readonly RestoreTarget[];
	readonly redis: RedisChoice;
	/** What it could replace. */
	readonly available: readonly RestoreTarget[];
	readonly rows: number | null;
	readonly tables: number | null;
	/** Files in each archive of files. */
	readonly files: Readonly<Record<string, number>>;
	readonly bytesNeeded: number;
	readonly bytesFree: number | null;
	readonly warnings: readonly string[];
}

/** What a full restore brings: an old queue would run its jobs again, so Redis is asked for by itself. */
const fullRestore: readonly RestoreTarget[] = ["database", "media", "static"];

/** Rows and part sizes, from the manifest or from reading all of it. */
interface Content {
	readonly manifest?: Manifest;
	readonly parts: readonly SeenPart[];
	readonly verified: Verification;
}

/** @throws AgentError saying why it cannot be restored; it changes nothing either way. */
export async function checkRestore(context: RunContext, request: CheckRequest): Promise<CheckResult> {
	const source = await openSource(request.path);
	if (source.encrypted) await requireKey(source, request.identity, context.signal);
	const content = isTrusted(source)
		? await checkBytes(context, source)
		: await checkContent(context, source, request.identity);
	const available = availableTargets(source, content);
	const { targets, redis } = chooseTargets(source, request, available);
	await requireVersion(context, source, request, content, targets);
	const needs = estimateNeeds(content, targets);
	const space = await requireRoom(needs);
	const { manifest, parts } = content;
	const rows =
		manifest?.database.rows ?? Object.fromEntries(parts.flatMap((part) => [...(part.dump?.rows ?? [])]));
	const hasRows = available.includes("database");
	return {
		file: source.file,
		kind: source.kind,
		origin: manifest ? "manifest" : "old-script",
		stack: manifest?.stack ?? null,
		class: manifest?.class ?? null,
		createdAt: manifest?.startedAt ?? timeInName(source.file, context.config.timeZone),
		size: source.size,
		encrypted: source.encrypted,
		verified: content.verified,
		targets,
		redis,
		available,
		rows: hasRows ? Object.values(rows).reduce((total, count) => total + count, 0) : null,
		tables: hasRows ? Object.keys(rows).length : null,
		files: fileCounts(content),
		bytesNeeded: Math.round(space.needed),
		bytesFree: space.free ?? null,
		warnings: manifest?.warnings ?? [],
	};
}

/** A file that was found good and is still the same needs its bytes compared, no more. */
function isTrusted({ index }: RestoreSource): boolean {
	return index?.verified.ok === true;
}

async function checkBytes(context: RunContext, source: RestoreSource): Promise<Content> {
	const { index } = source;
	if (!index) throw new Error("there is no index");
	const progress = new Progress(context.report, `checking ${source.file}`, source.size);
	const stored = await hashFile(source.path, {
		signal: context.signal,
		onProgress: (bytes) => progress.set(bytes),
	});
	if (stored.size !== index.size || stored.sha256 !== index.sha256) {
		throw invalid(source, [
			`the stored file is not the one that was written: ${stored.size} bytes of SHA-256 ${stored.sha256.slice(0, 12)}…, its index says ${index.size} of ${index.sha256.slice(0, 12)}…`,
		]);
	}
	return { manifest: index.manifest, parts: [], verified: index.verified };
}

async function checkContent(
	context: RunContext,
	source: RestoreSource,
	identity: string | undefined,
): Promise<Content> {
	let { found, manifest, problems } = await readAll(context, source, {
		identity,
		decompress: decompressBy(context.signal),
	});
	// Node's own decoder gives all that can be read of what is damaged, so it knows the part.
	if (problems.length > 0) ({ found, manifest, problems } = await readAll(context, source, { identity }));
	if (problems.length > 0) throw invalid(source, problems);
	for (const { name, dump } of found.parts.values()) {
		if (dump?.beyond) {
			throw new AgentError(
				`${name} reaches beyond its own database (${dump.beyond}), as dumps of pg_dumpall and pg_dump --create do; nothing was changed. Restore it by hand, or dump the database again without that`,
				exitCodes.invalid,
			);
		}
	}
	const verified = { ok: true, how: "content", at: new Date().toISOString() } as const;
	return { manifest, parts: [...found.parts.values()], verified };
}

async function readAll(
	{ report, signal }: RunContext,
	source: RestoreSource,
	options: Pick<ReadOptions, "identity" | "decompress">,
): Promise<{ found: Found; manifest: Manifest | undefined; problems: string[] }> {
	const progress = new Progress(report, `reading ${source.file} from end to end`, source.size);
	const found = emptyFound();
	let read = 0;
	const stored = async function* () {
		for await (const chunk of readFileChunks(source.path, signal)) {
			read += chunk.length;
			progress.set(read);
			yield chunk;
		}
	};
	try {
		const compression = source.kind === "files" ? undefined : source.compression;
		const content = openContent(stored(), { compression, encrypted: source.encrypted }, options);
		await readContent(content, solePartName(source), found, options);
	} catch (error) {
		if (!(error instanceof DamagedError)) throw error;
		found.problems.push(error.message);
	}
	const manifest = found.manifest ?? (source.kind === "full" ? undefined : source.index?.manifest);
	const problems = [...found.problems, ...(manifest ? comparison(manifest, found.parts) : [])];
	return { found, manifest, problems };
}

/** The name under which the only part is read; a dump may be called anything. */
function solePartName(source: RestoreSource): string | undefined {
	if (source.kind === "full") return undefined;
	const plain = source.file.replace(/\.age$/, "");
	return partContent(plain) ? plain : partNames("", "gzip").database;
}

function availableTargets(source: RestoreSource, { manifest, parts }: Content): RestoreTarget[] {
	const sole = soleTarget(source);
	if (sole) return [sole];
	const held = new Set<string | undefined>(
		manifest ? manifest.parts.map((part) => part.holds) : parts.map((part) => partContent(part.name)),
	);
	return restoreTargets.filter((target) => held.has(target));
}

/** @throws AgentError when something is asked for that is not in it. */
function chooseTargets(
	source: RestoreSource,
	{ only, redis: asked }: CheckRequest,
	available: readonly RestoreTarget[],
): { targets: RestoreTarget[]; redis: RedisChoice } {
	const redis = only.includes("redis") && asked === "keep" ? "restore" : asked;
	const named = only.length > 0 ? only : source.kind === "full" ? fullRestore : available;
	const wanted = new Set<RestoreTarget>(named.filter((target) => target !== "redis"));
	if (redis === "restore") wanted.add("redis");
	const missing = [...wanted].filter((target) => !available.includes(target));
	if (missing.length > 0) {
		const rest = [...wanted].filter((target) => available.includes(target));
		const fix = rest.length > 0 ? `. Restore the rest: --only ${rest.join(",")}` : "";
		throw new AgentError(
			`${source.file} holds no ${missing.join(" and no ")}; nothing was changed${fix}`,
			exitCodes.invalid,
		);
	}
	return { targets: restoreTargets.filter((target) => wanted.has(target)), redis };
}

/** A dump of an older server goes into a newer one, not the other way. */
async function requireVersion(
	{ config, signal }: RunContext,
	source: RestoreSource,
	{ rebuild }: CheckRequest,
	{ manifest, parts }: Content,
	targets: readonly RestoreTarget[],
): Promise<void> {
	if (!targets.includes("database")) return;
	const major = manifest?.database.major ?? parts.find((part) => part.dump)?.dump?.major;
	let here: number;
	if (rebuild) here = Number(/\) (\d+)/.exec(await output("psql", ["--version"], { signal }))?.[1]);
	else {
		const session = await connectBeside(config, signal);
		try {
			const [row] = await session.query("SELECT current_setting('server_version_num')::int / 10000 AS major");
			here = Number(row?.major);
		} finally {
			await session.close();
		}
	}
	if (major !== undefined && major > here) {
		throw new AgentError(
			`${source.file} was made of PostgreSQL ${major}, and this stack runs ${here}, which cannot take it; nothing was changed. Restore it into a stack of PostgreSQL ${major}`,
			exitCodes.invalid,
		);
	}
}

/** Bytes of log that the server may keep beside the data it loads. */
const serverLog = 1 << 30;
/** Bytes on the disk for a byte of a dump, with indexes, where nothing better is known. */
const dumpFactor = 1.7;
/** Bytes unpacked for a stored byte, where nothing better is known. */
const unpackFactor = 2;
/** A file's last block is half empty on the average. */
const halfBlock = 2048;

function estimateNeeds({ manifest, parts }: Content, targets: readonly RestoreTarget[]): Needs {
	const needs: Needs = {};
	for (const target of targets) {
		const noted = manifest?.parts.find((part) => part.holds === target);
		const seen = parts.find((part) => (partContent(part.name) ?? "database") === target);
		const size = noted?.size ?? seen?.size ?? 0;
		if (target === "database") {
			const onDisk = manifest?.database.size ?? size * dumpFactor;
			needs.database = onDisk + Math.min(onDisk, serverLog);
		} else if (target === "redis") needs.redis = size;
		else {
			const content = noted?.content ?? seen?.content ?? size * unpackFactor;
			needs[target] = content + halfBlock * (noted?.files ?? seen?.files ?? 0);
		}
	}
	return needs;
}

function fileCounts({ manifest, parts }: Content): Record<string, number> {
	const noted = manifest?.parts.flatMap(({ holds, files }) => (files === undefined ? [] : [[holds, files]]));
	const seen = parts.flatMap(({ name, files }) => (files === undefined ? [] : [[partContent(name), files]]));
	return Object.fromEntries(noted ?? seen);
}

/** age says at the head of a file whether a key opens it; the rest is not decrypted. */
async function requireKey(
	source: RestoreSource,
	identity: string | undefined,
	signal: AbortSignal,
): Promise<void> {
	if (identity === undefined) {
		throw new AgentError(
			`${source.file} is encrypted, and no key was given; nothing was changed. Name the file with the private key: --identity FILE`,
			exitCodes.credentials,
		);
	}
	const { child, exit } = start("age", ["--decrypt", "--identity", identity, source.path], { signal });
	const opened = new Promise<void>((resolve) => child.stdout?.once("data", () => resolve()));
	try {
		await Promise.race([opened, exit]);
	} catch (error) {
		const said = (error as Error).message.replace(/^age failed: (age: )?(error: )?/, "");
		if (!/no identity matched|incorrect passphrase|identity file|secret key|SSH key/i.test(said)) {
			throw invalid(source, [`age says: ${said}`]);
		}
		throw new AgentError(
			`this key does not open ${source.file} (${said.split("\n")[0]}); nothing was changed. Give the private key of one of its recipients`,
			exitCodes.credentials,
		);
	} finally {
		child.kill();
	}
}

function timeInName(file: string, timeZone: string): string | null {
	const [stamp] = /\d{8}_\d{6}/.exec(file) ?? [];
	return stamp ? instantOf(stamp, timeZone).toISOString() : null;
}

function invalid(source: RestoreSource, problems: readonly string[]): AgentError {
	return new AgentError(
		`${source.file} cannot be relied on: ${problems.join("; ")}; nothing was changed. Restore another: ./docker-dev.sh backup list`,
		exitCodes.invalid,
	);
}
