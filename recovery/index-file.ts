/**
 * The index file beside an archive: `<archive>.json`. It makes listing instant and needs no key. It is a copy
 * of what the archive says, and what was found when the archive was last checked.
 */
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { archiveTailSchema } from "./archive-tail.ts";
import { writeDurably } from "./durable-file.ts";
import { manifestSchema } from "./manifest.ts";

const verificationSchema = z.object({
	ok: z.boolean(),
	/** `bytes`: the stored bytes are those that were written; `content`: every part was read and compared. */
	how: z.enum(["bytes", "content"]),
	at: z.iso.datetime(),
	/** What was wrong, naming the part. */
	problem: z.string().optional(),
});

const indexSchema = z.object({
	formatVersion: z.literal(1),
	/** Name of the file that this is about; an index that was copied beside another file is not believed. */
	archive: z.string(),
	size: z.number().int().min(1),
	/** SHA-256 of the stored file. */
	sha256: z.string().regex(/^[0-9a-f]{64}$/),
	encrypted: z.boolean(),
	manifest: manifestSchema,
	verified: verificationSchema,
	/** Where roles and database begin, in an archive that is not encrypted. */
	tail: archiveTailSchema.optional(),
});

export type IndexFile = z.infer<typeof indexSchema>;
export type Verification = z.infer<typeof verificationSchema>;

export const indexEnding = ".json";

export function indexPath(archive: string): string {
	return `${archive}${indexEnding}`;
}

/** The index of an archive; undefined where there is none, or none that can be believed. */
export async function readIndex(archive: string): Promise<IndexFile | undefined> {
	let text: string;
	try {
		text = await readFile(indexPath(archive), "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
	return parseIndex(text, basename(archive));
}

/** What the text of an index says of the archive of that name; undefined where it cannot be believed. */
export function parseIndex(text: string, archive: string): IndexFile | undefined {
	try {
		const parsed = indexSchema.safeParse(JSON.parse(text));
		return parsed.success && parsed.data.archive === archive ? parsed.data : undefined;
	} catch {
		return undefined;
	}
}

/** The text of an index, beside the archive or in a bucket. */
export function indexText(index: IndexFile): string {
	return `${JSON.stringify(indexSchema.parse(index), null, "\t")}\n`;
}

export async function writeIndex(directory: string, index: IndexFile): Promise<void> {
	await writeDurably(indexPath(join(directory, index.archive)), indexText(index));
}
