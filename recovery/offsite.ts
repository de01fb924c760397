/**
 * The copies of recovery points in a bucket, and what the agent last knew of them: `.<stack>.offsite.json`
 * beside the recovery points. The bucket is the truth; this memory of it is for whoever has no key to look.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeDurably } from "./durable-file.ts";
import { pointClasses, safetyOccasions } from "./manifest.ts";
import { newestGoodFull, type RecoveryPoint } from "./points.ts";

const instant = z.iso.datetime();

const copySchema = z.object({
	/** File name of the archive. */
	file: z.string(),
	key: z.string(),
	kind: z.enum(["full", "database"]),
	encrypted: z.boolean(),
	/** Whose it is; these five are undefined without an index. */
	stack: z.string().optional(),
	class: z.enum(pointClasses).optional(),
	before: z.enum(safetyOccasions).optional(),
	sha256: z.string().optional(),
	/** How far it was checked before it was uploaded. */
	verified: z.enum(["bytes", "content"]).optional(),
	/** Start of the run; without an index the time in the name. */
	createdAt: instant,
	/** Bytes stored. */
	size: z.number(),
	/** Why it does not count: no index, no archive, another size. */
	incomplete: z.string().optional(),
	/** Whether it carries the tag by which the bucket lets it go. */
	superseded: z.boolean(),
	/** What reading it back from end to end showed. */
	checked: z.object({ ok: z.boolean(), at: instant, problem: z.string().optional() }).optional(),
	/** Entity tags of archive and index: with the same ones nothing has to be read again. */
	entityTags: z.object({ archive: z.string().optional(), index: z.string().optional() }),
});

const pushSchema = z.object({
	startedAt: instant,
	endedAt: instant,
	outcome: z.enum(["success", "failed"]),
	/** What kind of failure it was, and what to say. */
	failure: z.string().optional(),
	message: z.string().optional(),
	uploaded: z.array(z.string()),
	superseded: z.array(z.string()),
	/** Good recovery points on the disk that are still not there. */
	waiting: z.array(z.string()),
	warnings: z.array(z.string()),
});

const recordSchema = z.object({
	formatVersion: z.literal(1),
	/** `s3://bucket/prefix/stack`. */
	destination: z.string(),
	/** When the bucket was last listed. */
	listedAt: instant.optional(),
	copies: z.array(copySchema),
	lastPush: pushSchema.optional(),
	/** End of the last upload after which nothing was waiting. */
	lastSuccess: instant.optional(),
});

export type OffsiteCopy = z.infer<typeof copySchema>;
export type PushRecord = z.infer<typeof pushSchema>;
export type OffsiteRecord = z.infer<typeof recordSchema>;

/** Where a stack's copies are. */
export interface OffsitePlace {
	readonly bucket: string;
	readonly prefix: string;
}

/** Keys of a stack's objects begin with this. */
export function keyPrefix({ prefix }: OffsitePlace, stack: string): string {
	return `${prefix}/${stack}/`;
}

/** Address of a stack's copies, for people: `s3://bucket/prefix/stack`. */
export function destinationOf(place: OffsitePlace, stack: string): string {
	return `s3://${place.bucket}/${keyPrefix(place, stack).slice(0, -1)}`;
}

/** Whether a copy can be relied on: whole, good when it was uploaded, and not found damaged since. */
export function isGoodCopy(copy: OffsiteCopy): boolean {
	return copy.incomplete === undefined && copy.verified !== undefined && copy.checked?.ok !== false;
}

/** A copy as the recovery point that it is, so that the rules for those hold for it as well. */
export function asPoint(copy: OffsiteCopy): RecoveryPoint {
	const { file, kind, stack, size, encrypted, checked } = copy;
	return {
		file,
		kind,
		origin: stack === undefined ? "no-index" : "indexed",
		stack,
		class: copy.class,
		before: copy.before,
		createdAt: new Date(copy.createdAt),
		size,
		encrypted,
		verified: copy.verified && {
			ok: checked?.ok !== false,
			how: copy.verified,
			at: checked?.at ?? copy.createdAt,
			problem: checked?.problem,
		},
		damage: copy.incomplete,
	};
}

export function offsitePath(directory: string, stack: string): string {
	return join(directory, `.${stack}.offsite.json`);
}

/** What is remembered of this destination; undefined where that is nothing that can be believed. */
export async function readOffsite(
	directory: string,
	stack: string,
	destination: string,
): Promise<OffsiteRecord | undefined> {
	try {
		const record = recordSchema.parse(JSON.parse(await readFile(offsitePath(directory, stack), "utf8")));
		return record.destination === destination ? record : undefined;
	} catch {
		return undefined;
	}
}

export async function writeOffsite(directory: string, stack: string, record: OffsiteRecord): Promise<void> {
	await writeDurably(offsitePath(directory, stack), `${JSON.stringify(record, null, "\t")}\n`);
}

/** How a destination stands, by what is remembered of it. */
export interface OffsiteState {
	readonly destination: string;
	/** Whether everything that belongs there is there, as far as is known. */
	readonly ok: boolean;
	/** Good copies, and full ones among them. */
	readonly copies: number;
	readonly fullCopies: number;
	/** The newest good full copy. */
	readonly newest: { readonly file: string; readonly createdAt: string } | null;
	readonly listedAt: string | null;
	readonly lastSuccess: string | null;
	readonly lastPush: PushRecord | null;
}

export function offsiteState(
	record: OffsiteRecord | undefined,
	destination: string,
	stack: string,
	now: Date,
): OffsiteState {
	const good = (record?.copies ?? []).filter((copy) => copy.stack === stack && isGoodCopy(copy));
	const newest = newestGoodFull(good.map(asPoint), stack, now);
	return {
		destination,
		ok: record?.lastPush?.outcome === "success",
		copies: good.length,
		fullCopies: good.filter(({ kind }) => kind === "full").length,
		newest: newest ? { file: newest.file, createdAt: newest.createdAt.toISOString() } : null,
		listedAt: record?.listedAt ?? null,
		lastSuccess: record?.lastSuccess ?? null,
		lastPush: record?.lastPush ?? null,
	};
}
