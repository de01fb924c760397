import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ImageName, imageNames } from "../../images/official.ts";
import { StackError } from "../errors.ts";

/** Where a stack's base images come from. */
export type ImageSource = "official" | "stand-in";

/** The choice of images, made once for a stack and kept. */
export interface ImageRecord {
	schemaVersion: 1;
	source: ImageSource;
	/** Full names. */
	images: Record<ImageName, string>;
	/** Image with the CA bundle for builds. @default none is needed */
	caImage?: string;
}

/** The file, in the stack's directory. */
export function recordFile(stackDirectory: string): string {
	return join(stackDirectory, "images.json");
}

/**
 * Reads what was recorded; undefined before the first time.
 *
 * @throws StackError when the file is there and is not such a record. It is left as it is: guessing could
 * exchange the database server under existing data.
 */
export function readRecord(stackDirectory: string): ImageRecord | undefined {
	const file = recordFile(stackDirectory);
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw new StackError(`The choice of images cannot be read: ${(error as Error).message}`, {
			cause: error,
			fix: `ls -l ${file}`,
		});
	}
	const record = parse(text);
	if (record !== undefined) return record;
	throw new StackError(`${file} is not a record of the choice of images; it was left as it is.`, {
		fix: `rm ${file}   # the next up chooses again`,
	});
}

/** Writes a record whole or not at all, readable by its owner only. */
export function writeRecord(stackDirectory: string, record: ImageRecord): void {
	mkdirSync(stackDirectory, { recursive: true, mode: 0o700 });
	const file = recordFile(stackDirectory);
	const partial = `${file}.${randomUUID()}.partial`;
	try {
		writeFileSync(partial, `${JSON.stringify(record, null, "\t")}\n`, { mode: 0o600, flush: true });
		chmodSync(partial, 0o600);
		renameSync(partial, file);
	} finally {
		rmSync(partial, { force: true });
	}
}

function parse(text: string): ImageRecord | undefined {
	try {
		const value = JSON.parse(text) as Partial<ImageRecord>;
		const isComplete = imageNames.every((name) => typeof value.images?.[name] === "string");
		const isKnown = value.source === "official" || value.source === "stand-in";
		return value.schemaVersion === 1 && isKnown && isComplete ? (value as ImageRecord) : undefined;
	} catch {
		return undefined;
	}
}
