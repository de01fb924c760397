/** What is in the bucket of a stack: every copy, and whether it counts. */
import { GetObjectTaggingCommand, ListObjectsV2Command, PutObjectTaggingCommand } from "@aws-sdk/client-s3";
import { supersededTag } from "../../components/offsite-policy.ts";
import { indexEnding, indexPath, parseIndex } from "../../recovery/index-file.ts";
import { instantOf, parsePointName } from "../../recovery/names.ts";
import type { OffsiteCopy } from "../../recovery/offsite.ts";
import type { Bucket } from "./bucket.ts";
import { isNotImplemented } from "./failure.ts";
import { readText } from "./read-object.ts";

interface StoredObject {
	readonly key: string;
	readonly size: number;
	readonly entityTag: string | undefined;
}

/** Requests for indexes that are on their way at the same time. */
const atOnce = 8;

/**
 * Lists the bucket, oldest copy first.
 *
 * @param before copies as they were last known; what has not changed since is not read again.
 * @param timeZone of the times in file names, for copies without an index.
 * @param afresh whether to read every index and tag again all the same: a tag may be another's work.
 */
export async function listCopies(
	bucket: Bucket,
	before: readonly OffsiteCopy[],
	timeZone: string,
	afresh = false,
): Promise<OffsiteCopy[]> {
	const objects = await listObjects(bucket);
	const known = new Map(before.map((copy) => [copy.file, copy]));
	const files = new Set(
		[...objects.keys()].map((name) =>
			name.endsWith(indexEnding) ? name.slice(0, -indexEnding.length) : name,
		),
	);
	const wanted = [...files].filter((file) => parsePointName(file));
	const copies: OffsiteCopy[] = [];
	await Promise.all(
		Array.from({ length: atOnce }, async () => {
			for (let file = wanted.pop(); file !== undefined; file = wanted.pop()) {
				const copy = known.get(file);
				const unchanged = copy && isUnchanged(copy, objects) ? copy : undefined;
				if (unchanged && !afresh) copies.push(unchanged);
				else
					copies.push({ ...(await readCopy(bucket, file, objects, timeZone)), checked: unchanged?.checked });
			}
		}),
	);
	return copies.sort(
		(a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt) || (a.file < b.file ? -1 : 1),
	);
}

async function readCopy(
	bucket: Bucket,
	file: string,
	objects: ReadonlyMap<string, StoredObject>,
	timeZone: string,
): Promise<OffsiteCopy> {
	const archive = objects.get(file);
	const indexObject = objects.get(indexPath(file));
	const name = parsePointName(file) as NonNullable<ReturnType<typeof parsePointName>>;
	const index = indexObject && parseIndex(await readText(bucket, indexObject.key), file);
	const key = `${bucket.keyPrefix}${file}`;
	return {
		file,
		key,
		kind: name.kind,
		encrypted: name.encrypted,
		stack: index?.manifest.stack,
		class: index?.manifest.class,
		before: index?.manifest.before,
		sha256: index?.sha256,
		verified: index?.verified.ok ? index.verified.how : undefined,
		createdAt: index?.manifest.startedAt ?? instantOf(name.stamp, timeZone).toISOString(),
		size: archive?.size ?? index?.size ?? 0,
		incomplete: incompleteness(archive, indexObject, index?.size),
		superseded: await isSuperseded(bucket, archive?.key ?? indexPath(key)),
		entityTags: { archive: archive?.entityTag, index: indexObject?.entityTag },
	};
}

function isUnchanged({ file, entityTags }: OffsiteCopy, objects: ReadonlyMap<string, StoredObject>): boolean {
	return (
		entityTags.archive === objects.get(file)?.entityTag &&
		entityTags.index === objects.get(indexPath(file))?.entityTag
	);
}

function incompleteness(
	archive: StoredObject | undefined,
	indexObject: StoredObject | undefined,
	size: number | undefined,
): string | undefined {
	if (!archive) return "its archive is not there";
	if (!indexObject) return "it has no index: its upload was not finished";
	if (size === undefined) return "its index cannot be read";
	if (archive.size !== size) return `it has ${archive.size} bytes, and ${size} were written`;
	return undefined;
}

/** Objects by their name under the stack's prefix. */
async function listObjects(bucket: Bucket): Promise<Map<string, StoredObject>> {
	const objects = new Map<string, StoredObject>();
	let page: string | undefined;
	do {
		const command: ListObjectsV2Command = new ListObjectsV2Command({
			Bucket: bucket.name,
			Prefix: bucket.keyPrefix,
			ContinuationToken: page,
		});
		const { Contents = [], NextContinuationToken } = await bucket.client.send(command, {
			abortSignal: bucket.signal,
		});
		for (const { Key, Size = 0, ETag } of Contents) {
			// Another stack's prefix is not listed; a server that ignores the prefix must not make it ours.
			if (!Key?.startsWith(bucket.keyPrefix)) continue;
			objects.set(Key.slice(bucket.keyPrefix.length), { key: Key, size: Size, entityTag: ETag });
		}
		page = NextContinuationToken;
	} while (page);
	return objects;
}

async function tagsOf(bucket: Bucket, key: string) {
	const command = new GetObjectTaggingCommand({ Bucket: bucket.name, Key: key });
	const { TagSet = [] } = await bucket.client.send(command, { abortSignal: bucket.signal });
	return TagSet;
}

async function isSuperseded(bucket: Bucket, key: string): Promise<boolean> {
	try {
		const tags = await tagsOf(bucket, key);
		return tags.some(({ Key, Value }) => Key === supersededTag.key && Value === supersededTag.value);
	} catch (error) {
		// Without tags nothing is ever superseded.
		if (isNotImplemented(error)) return false;
		throw error;
	}
}

/** Marks a copy as one that may go, or takes the mark off; other tags stay. Archive and index alike. */
export async function setSuperseded(
	bucket: Bucket,
	copy: OffsiteCopy,
	superseded: boolean,
): Promise<OffsiteCopy> {
	for (const [key, present] of [
		[copy.key, copy.entityTags.archive],
		[indexPath(copy.key), copy.entityTags.index],
	] as const) {
		if (present === undefined) continue;
		const others = (await tagsOf(bucket, key)).filter(({ Key }) => Key !== supersededTag.key);
		const mark = { Key: supersededTag.key, Value: superseded ? supersededTag.value : "false" };
		await bucket.client.send(
			new PutObjectTaggingCommand({ Bucket: bucket.name, Key: key, Tagging: { TagSet: [...others, mark] } }),
			{ abortSignal: bucket.signal },
		);
	}
	return { ...copy, superseded };
}
