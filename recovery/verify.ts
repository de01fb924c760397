/** Checks a recovery point: the stored bytes against its index, and every part against the manifest in it. */
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
} from "./archive-reader.ts";
import { DamagedError, WrongKeyError } from "./damaged-error.ts";
import { type IndexFile, readIndex, type Verification } from "./index-file.ts";
import { type Compression, type Manifest, type ManifestPart, parseManifest } from "./manifest.ts";
import { type PointName, parsePointName, partNames } from "./names.ts";
import { type DumpContent, DumpReader, plainTableName } from "./sql-reader.ts";
import { walkTar } from "./tar-reader.ts";

/** What a check found. */
export interface VerifyResult {
	readonly file: string;
	readonly ok: boolean;
	/** How far the check went; with `bytes` the content could not be read for want of the key. */
	readonly how: Verification["how"];
	/** Every fault, naming the part. Empty when it is good. */
	readonly problems: readonly string[];
	/** `old-script`: made by the old script, without a manifest; its parts were read from end to end. */
	readonly origin: "manifest" | "old-script";
	readonly parts: readonly SeenPart[];
	/** Size and hash of the file, when it could be read to its end. */
	readonly stored?: StoredBytes;
	/** From the archive, or from its index where the archive cannot be opened. */
	readonly manifest?: Manifest;
}

/** A part as it was found. */
export interface SeenPart {
	readonly name: string;
	readonly size: number;
	readonly sha256: string;
	/** In an archive of files. */
	readonly entries?: number;
	/** In an archive of files: everything but directories. */
	readonly files?: number;
	/** In an archive of files: bytes when unpacked. */
	readonly content?: number;
	/** In a dump. */
	readonly dump?: DumpContent;
}

/**
 * Reads a recovery point from end to end. It changes nothing.
 *
 * An encrypted one is checked by its stored bytes; with `identity` by its content too.
 *
 * @throws Error when the file cannot be read at all; damage is a result, not an error.
 * @throws WrongKeyError when the key does not open it: that says nothing about the file.
 */
export async function verifyPoint(
	directory: string,
	file: string,
	options: ReadOptions = {},
): Promise<VerifyResult> {
	const result = await readPoint(directory, file, options);
	if (result.ok || !options.decompress) return result;
	// A program gives up what it has not written yet: this decoder gives all that it can, so it knows the part.
	return await readPoint(directory, file, { ...options, decompress: undefined });
}

async function readPoint(directory: string, file: string, options: ReadOptions): Promise<VerifyResult> {
	const name = parsePointName(file);
	if (!name) throw new Error(`${file} does not have the name of a recovery point`);
	const path = join(directory, file);
	const index = await readIndex(path);
	const stored = new Meter();
	const bytes = stored.pass(readFileChunks(path, options.signal), options.onProgress);
	const found = emptyFound();
	const openable = !name.encrypted || options.identity !== undefined;
	let readToTheEnd = true;

	if (!openable) {
		await drain(bytes);
		if (!index)
			found.problems.push("there is no index to compare its bytes with, and no key to read its content");
	} else {
		try {
			const content = openContent(bytes, name, options);
			await readContent(
				content,
				name.kind === "full" ? undefined : file.replace(/\.age$/, ""),
				found,
				options,
			);
		} catch (error) {
			if (!(error instanceof DamagedError)) throw error;
			if (name.encrypted && index && (await isAsWritten(path, index, options.signal))) {
				throw new WrongKeyError(file, error.message);
			}
			readToTheEnd = false;
			found.problems.push(error.message);
		}
	}
	const manifest = found.manifest ?? index?.manifest;
	if (openable) {
		const expected = manifest ? comparison(manifest, found.parts) : oldScriptProblems(name, found.parts);
		found.problems.push(...expected);
		if (name.kind === "full" && index && !found.manifest) found.problems.push("manifest.json is missing");
	}
	const bytesSeen = readToTheEnd ? stored.result() : undefined;
	if (index && bytesSeen && (bytesSeen.size !== index.size || bytesSeen.sha256 !== index.sha256)) {
		found.problems.push(
			`the stored file is not the one that was written: ${bytesSeen.size} bytes of SHA-256 ${bytesSeen.sha256.slice(0, 12)}…, its index says ${index.size} of ${index.sha256.slice(0, 12)}…`,
		);
	}
	return {
		file,
		ok: found.problems.length === 0,
		how: openable ? "content" : "bytes",
		problems: found.problems,
		origin: manifest ? "manifest" : "old-script",
		parts: [...found.parts.values()],
		stored: bytesSeen,
		manifest,
	};
}

/** Whether the stored bytes are those that were written: what cannot be opened then is not damaged. */
async function isAsWritten(path: string, index: IndexFile, signal?: AbortSignal): Promise<boolean> {
	const { size, sha256 } = await hashFile(path, { signal });
	return size === index.size && sha256 === index.sha256;
}

/** What was read so far. */
export interface Found {
	readonly parts: Map<string, SeenPart>;
	readonly problems: string[];
	manifest?: Manifest;
}

export function emptyFound(): Found {
	return { parts: new Map(), problems: [] };
}

/**
 * Reads decompressed content to its end.
 *
 * @param part name of the only part; undefined for an archive of parts.
 * @throws DamagedError for what cannot be read on; everything else that is wrong is noted.
 */
export async function readContent(
	content: AsyncIterable<Buffer>,
	part: string | undefined,
	found: Found,
	options: Pick<ReadOptions, "decompress"> = {},
): Promise<void> {
	if (part === undefined) await readParts(content, found, options);
	else await readPart(part, content, found, options);
}

const largestManifest = 64 << 20;

async function readParts(
	content: AsyncIterable<Buffer>,
	found: Found,
	options: Pick<ReadOptions, "decompress">,
): Promise<void> {
	await walkTar(content, async (header, part) => {
		const name = header.name.replace(/^(\.\/)+/, "");
		if (header.type === "directory") return drain(part);
		if (found.manifest)
			found.problems.push(`${name} follows the manifest and does not belong to the archive`);
		else if (found.parts.has(name)) found.problems.push(`${name} is in the archive twice`);
		if (header.type !== "file" || name.includes("/")) {
			found.problems.push(`${name} is no file of a recovery point (${header.type})`);
			return drain(part);
		}
		if (name !== partNames("", "gzip").manifest) return readPart(name, part, found, options);
		if (header.size > largestManifest) throw new DamagedError("the manifest is too large to be one");
		const text = await readWhole(part);
		try {
			found.manifest = parseManifest(text.toString("utf8"));
		} catch (error) {
			found.problems.push((error as Error).message);
		}
	});
}

/** Reads a part to its end, and what is in it where that can be looked at. */
async function readPart(
	name: string,
	content: AsyncIterable<Buffer>,
	found: Found,
	options: Pick<ReadOptions, "decompress">,
): Promise<void> {
	const meter = new Meter();
	const bytes = keepOpen(meter.pass(content));
	let seen: Omit<SeenPart, "name" | "size" | "sha256"> = {};
	try {
		const compression = archiveCompression(name);
		if (compression)
			seen = await readFileArchive(openContent(bytes, { compression, encrypted: false }, options));
		else if (/^db_backup_.*\.sql$/.test(name)) {
			const reader = new DumpReader();
			for await (const chunk of bytes) reader.add(chunk);
			seen = { dump: reader.end() };
			if (!seen.dump?.complete) found.problems.push(`${name} is not a whole dump: its last line is missing`);
		}
	} catch (error) {
		if (!(error instanceof DamagedError)) throw error;
		found.problems.push(`${name}: ${error.message}`);
	}
	await drain(bytes);
	found.parts.set(name, { name, ...meter.result(), ...seen });
}

async function readFileArchive(content: AsyncIterable<Buffer>) {
	const seen = { entries: 0, files: 0, content: 0 };
	const counted = async function* () {
		for await (const chunk of content) {
			seen.content += chunk.length;
			yield chunk;
		}
	};
	await walkTar(counted(), async (header, entry) => {
		seen.entries++;
		if (header.type !== "directory") seen.files++;
		await drain(entry);
	});
	return seen;
}

function archiveCompression(name: string): Compression | undefined {
	if (name.endsWith(".tar.gz")) return "gzip";
	return name.endsWith(".tar.zst") ? "zstd" : undefined;
}

/** What of the parts is not as the manifest says. */
export function comparison(manifest: Manifest, seen: ReadonlyMap<string, SeenPart>): string[] {
	const problems: string[] = [];
	for (const part of manifest.parts) {
		const there = seen.get(part.name);
		if (!there) problems.push(`${part.name} is missing`);
		else problems.push(...partDifferences(part, there, manifest));
	}
	const known = new Set(manifest.parts.map((part) => part.name));
	for (const name of seen.keys()) {
		if (!known.has(name)) problems.push(`${name} is not in the manifest`);
	}
	return problems;
}

function partDifferences(part: ManifestPart, seen: SeenPart, manifest: Manifest): string[] {
	if (seen.size !== part.size) {
		return [`${part.name} has ${seen.size} bytes, the manifest says ${part.size}`];
	}
	if (seen.sha256 !== part.sha256) return [`${part.name} differs from the manifest: its SHA-256 is another`];
	if (part.entries !== undefined && seen.entries !== part.entries) {
		return [`${part.name} has ${seen.entries} entries, the manifest says ${part.entries}`];
	}
	if (part.holds !== "database" || !seen.dump) return [];
	const inDump = new Map([...seen.dump.rows].map(([table, rows]) => [plainTableName(table), rows]));
	return Object.entries(manifest.database.rows).flatMap(([table, rows]) => {
		const there = inDump.get(plainTableName(table)) ?? 0;
		return there === rows ? [] : [`${part.name} has ${there} rows of ${table}, the manifest says ${rows}`];
	});
}

/** Parts that the old script put into every archive. */
function oldScriptProblems(name: PointName, seen: ReadonlyMap<string, SeenPart>): string[] {
	if (name.kind === "database") return [];
	const expected = [/^db_backup_.*\.sql$/, /^media_backup_.*\.tar\.gz$/, /^static_backup_.*\.tar\.gz$/];
	return expected
		.filter((pattern) => ![...seen.keys()].some((part) => pattern.test(part)))
		.map((pattern) => `${pattern.source.slice(1, -1).replaceAll("\\", "").replace(".*", "*")} is missing`);
}
