/** What can be restored: a full archive, a dump, or one archive of files by itself. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { drain, readWhole } from "../../recovery/archive-reader.ts";
import { readTail } from "../../recovery/archive-tail.ts";
import { type IndexFile, readIndex } from "../../recovery/index-file.ts";
import { type Compression, type Manifest, parseManifest } from "../../recovery/manifest.ts";
import { partNames } from "../../recovery/names.ts";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import { walkTar } from "../../recovery/tar-reader.ts";
import { decompressBy } from "../decompress.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { readUnpacked } from "../unpacked-file.ts";

export interface RestoreSource {
	readonly path: string;
	/** Name of the file. */
	readonly file: string;
	/** Bytes, as stored. */
	readonly size: number;
	/** `files`: one archive of files by itself. */
	readonly kind: "full" | "database" | "files";
	readonly compression?: Compression;
	readonly encrypted: boolean;
	/** What the index beside it says; undefined when there is none. */
	readonly index?: IndexFile;
}

/** What is in a part. `globals` and the manifest are no targets, and are read with the database. */
export type PartContent = RestoreTarget | "globals" | "manifest";

const endings: readonly (readonly [pattern: RegExp, kind: "archive" | "dump", compression?: Compression])[] =
	[
		[/\.(tar\.gz|tgz)$/, "archive", "gzip"],
		[/\.(tar\.zst|tzst)$/, "archive", "zstd"],
		[/\.sql$/, "dump"],
		[/\.sql\.gz$/, "dump", "gzip"],
		[/\.sql\.zst$/, "dump", "zstd"],
	];

/** @throws AgentError when there is no such file, or none that can be restored. */
export async function openSource(path: string): Promise<RestoreSource> {
	const file = basename(path);
	const plain = file.replace(/\.age$/, "");
	const ending = endings.find(([pattern]) => pattern.test(plain));
	if (!ending) {
		throw new AgentError(
			`${file} is no backup that can be restored: those end with .tar.gz, .tar.zst or .sql, and with .age where they are encrypted; nothing was changed`,
			exitCodes.usage,
		);
	}
	const info = await stat(path).catch(() => undefined);
	if (!info?.isFile()) throw new AgentError(`there is no file ${file}; nothing was changed`, exitCodes.usage);
	const [, holds, compression] = ending;
	const part = partContent(plain);
	const isPart = part === "media" || part === "static";
	return {
		path,
		file,
		size: info.size,
		kind: holds === "dump" ? "database" : isPart ? "files" : "full",
		compression,
		encrypted: file.endsWith(".age"),
		index: await readIndex(path),
	};
}

/** What a part holds, by its name; undefined for a file that is none. */
export function partContent(name: string): PartContent | undefined {
	if (name === partNames("", "gzip").manifest) return "manifest";
	const [, what, ending] =
		/^(db|globals|redis|media|static)_backup_.*\.(sql|rdb|tar\.gz|tar\.zst)$/.exec(name) ?? [];
	if (what === "db" && ending === "sql") return "database";
	if (what === "globals" && ending === "sql") return "globals";
	if (what === "redis" && ending === "rdb") return "redis";
	return (what === "media" || what === "static") && ending?.startsWith("tar") ? what : undefined;
}

/** Compression of an archive of files, by its name. */
export function fileCompression(name: string): Compression {
	return name.endsWith(".zst") ? "zstd" : "gzip";
}

/** What this file alone restores: everything, or one target. */
export function soleTarget(source: RestoreSource): RestoreTarget | undefined {
	if (source.kind === "database") return "database";
	return source.kind === "files"
		? (partContent(source.file.replace(/\.age$/, "")) as RestoreTarget)
		: undefined;
}

/** A part of the source, as `walkParts` gives it. */
export interface OpenPart {
	readonly name: string;
	readonly holds: PartContent;
	readonly content: AsyncIterable<Buffer>;
}

/**
 * Gives each part to `visit`, which reads it to its end. The file is one that has been checked.
 *
 * @param isEnough whether the rest need not be read; then what follows is not checked either.
 * @param options.fromDatabase whether what is before roles and database may be left out, where that can be done.
 * @throws DamagedError for a file that cannot be read to its end.
 */
export async function walkParts(
	source: RestoreSource,
	options: {
		readonly identity?: string;
		readonly signal: AbortSignal;
		readonly fromDatabase?: boolean;
	},
	visit: (part: OpenPart) => Promise<void>,
	isEnough: () => boolean,
): Promise<void> {
	const sole = soleTarget(source);
	// An archive of files is unpacked by whoever takes the part, as within a full archive.
	const compression = source.kind === "files" ? undefined : source.compression;
	const tail = options.fromDatabase && !source.encrypted ? source.index?.tail : undefined;
	const content =
		tail && compression
			? decompressBy(options.signal)(readTail({ ...source, compression }, tail, options.signal), compression)
			: readUnpacked(source.path, { ...source, compression }, options);
	if (sole === undefined) {
		await walkTar(
			content,
			async (header, part) => {
				const name = header.name.replace(/^(\.\/)+/, "");
				const holds = partContent(name);
				if (holds && header.type === "file") await visit({ name, holds, content: part });
				else await drain(part);
			},
			isEnough,
		);
		return;
	}
	await visit({ name: source.file.replace(/\.age$/, ""), holds: sole, content });
}

/**
 * The manifest: from the index, or from the archive itself, which is read to its end for that. Undefined for an
 * archive of the old script.
 */
export async function readManifest(
	source: RestoreSource,
	options: { readonly identity?: string; readonly signal: AbortSignal },
): Promise<Manifest | undefined> {
	if (source.index) return source.index.manifest;
	let manifest: Manifest | undefined;
	await walkParts(
		source,
		options,
		async ({ holds, content }) => {
			if (holds !== "manifest") await drain(content);
			else manifest = parseManifest((await readWhole(content)).toString("utf8"));
		},
		() => false,
	);
	return manifest;
}
