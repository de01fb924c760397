/** Reads copies in the bucket from end to end, and keeps what was found. */
import { LockedError } from "../../recovery/lock.ts";
import { type OffsiteCopy, type OffsiteRecord, readOffsite, writeOffsite } from "../../recovery/offsite.ts";
import { Progress } from "../progress.ts";
import type { RunContext } from "../recovery-point.ts";
import { type Bucket, urlOf } from "./bucket.ts";
import { listCopies } from "./catalog.ts";
import { readingDifference } from "./read-object.ts";
import { uploadLock } from "./upload-lock.ts";

export interface CheckedCopy {
	readonly file: string;
	readonly url: string;
	readonly ok: boolean;
	readonly problems: readonly string[];
}

/** Lists the bucket, and remembers what is there unless an upload is under way, which does so itself. */
export async function lookAtBucket(context: RunContext, bucket: Bucket): Promise<OffsiteCopy[]> {
	const { backupDirectory, stack, timeZone } = context.config;
	const before = await readOffsite(backupDirectory, stack, bucket.destination);
	const copies = await listCopies(bucket, before?.copies ?? [], timeZone);
	await remember(context, bucket, () => copies);
	return copies;
}

/** Reads one; damage is a result, not an error. */
export async function checkCopy(
	context: RunContext,
	bucket: Bucket,
	copy: OffsiteCopy,
): Promise<CheckedCopy> {
	const { file, key, size, sha256, incomplete } = copy;
	const progress = new Progress(context.report, `reading ${urlOf(bucket, key)}`, size);
	const difference =
		incomplete === undefined && sha256 !== undefined
			? await readingDifference(bucket, key, { size, sha256 }, (bytes) => progress.set(bytes))
			: incomplete;
	const problems = difference === undefined ? [] : [difference];
	return { file, url: urlOf(bucket, key), ok: problems.length === 0, problems };
}

/** Keeps the results: a damaged copy does not count from then on. */
export async function rememberChecks(
	context: RunContext,
	bucket: Bucket,
	checks: readonly CheckedCopy[],
): Promise<void> {
	const results = new Map(checks.map((check) => [check.file, check]));
	const at = new Date().toISOString();
	await remember(context, bucket, ({ copies }) =>
		copies.map((copy) => {
			const check = results.get(copy.file);
			return check ? { ...copy, checked: { ok: check.ok, at, problem: check.problems[0] } } : copy;
		}),
	);
}

async function remember(
	{ config, report }: RunContext,
	{ destination }: Bucket,
	change: (record: OffsiteRecord) => OffsiteCopy[],
): Promise<void> {
	const { backupDirectory, stack } = config;
	try {
		const lock = uploadLock(backupDirectory, stack);
		try {
			const record = (await readOffsite(backupDirectory, stack, destination)) ?? {
				formatVersion: 1,
				destination,
				copies: [],
			};
			const listedAt = new Date().toISOString();
			await writeOffsite(backupDirectory, stack, { ...record, listedAt, copies: change(record) });
		} finally {
			lock.release();
		}
	} catch (error) {
		if (!(error instanceof LockedError)) throw error;
		report({ event: "warning", message: `${error.message} What was seen is not kept.` });
	}
}
