/** The agent's commands that have to do with the bucket. Loaded only for these: the SDK takes time and memory. */
import { asPoint, isGoodCopy, type OffsiteCopy } from "../../recovery/offsite.ts";
import { newestGoodFull, newestToRestore } from "../../recovery/points.ts";
import { AgentError, exitCodes } from "../failure.ts";
import type { RunContext } from "../recovery-point.ts";
import { type Bucket, openBucket, urlOf } from "./bucket.ts";
import { type CheckedCopy, checkCopy, lookAtBucket, rememberChecks } from "./check-copies.ts";
import { explainOffsite } from "./failure.ts";
import { fetchCopy } from "./fetch.ts";
import { push } from "./push.ts";

export interface CommandOptions {
	readonly latest: boolean;
	readonly all: boolean;
	/** Credentials file other than the settings'. */
	readonly credentials?: string | undefined;
}

/** What a command has to say: a value for --json, and lines for a person. */
export interface Answer {
	readonly value: unknown;
	readonly text: string;
	/** @default 0 */
	readonly exitCode?: number;
}

export async function list(context: RunContext, options: CommandOptions): Promise<Answer> {
	return await withBucket(context, options, async (bucket) => {
		const copies = await lookAtBucket(context, bucket);
		return {
			value: { destination: bucket.destination, copies: copies.map((copy) => publicCopy(bucket, copy)) },
			text:
				copies.map((copy) => copyLine(bucket, copy)).join("\n") ||
				`There is nothing in ${bucket.destination}.`,
		};
	});
}

export async function verify(
	context: RunContext,
	files: readonly string[],
	options: CommandOptions,
): Promise<Answer> {
	return await withBucket(context, options, async (bucket) => {
		const copies = await lookAtBucket(context, bucket);
		const chosen = choose(context, bucket, copies, files, options);
		const checks: CheckedCopy[] = [];
		for (const copy of chosen) checks.push(await checkCopy(context, bucket, copy));
		await rememberChecks(context, bucket, checks);
		const lines = checks.map(
			({ url, ok, problems }) => `${url}: ${ok ? "good (bytes)" : `DAMAGED: ${problems.join("; ")}`}`,
		);
		return {
			value: checks,
			text: lines.join("\n"),
			exitCode: checks.every(({ ok }) => ok) ? 0 : exitCodes.invalid,
		};
	});
}

/** @throws AgentError when anything is still missing offsite. */
export async function pushNow(context: RunContext): Promise<Answer> {
	const { exitCode, ...result } = await push(context);
	if (result.outcome === "failed") throw new AgentError(result.message ?? "the upload failed", exitCode);
	const lines = result.uploaded.map((file) => `uploaded    ${file}`);
	lines.push(...result.superseded.map((file) => `superseded  ${file}`));
	const text = [...lines, `${result.copies} good copies in ${result.destination}`].join("\n");
	return { value: result, text };
}

export async function fetch(
	context: RunContext,
	names: readonly string[],
	options: CommandOptions,
): Promise<Answer> {
	return await withBucket(context, options, async (bucket) => {
		const [name] = names;
		if (names.length > 1 || (name === undefined) !== options.latest)
			throw new AgentError("name one copy to fetch, or write --latest", exitCodes.usage);
		const from = name ?? newestCopy(context, bucket, await lookAtBucket(context, bucket));
		const { index, url, wasHere } = await fetchCopy(context, bucket, from);
		const { archive: file, size, sha256, encrypted, verified, manifest } = index;
		return { value: { file, size, sha256, encrypted, verified, url, wasHere, manifest }, text: file };
	});
}

/** Whatever goes wrong is said in the words of the destination. */
async function withBucket(
	context: RunContext,
	{ credentials }: CommandOptions,
	use: (bucket: Bucket) => Promise<Answer>,
): Promise<Answer> {
	const bucket = openBucket(context.config, context.signal, credentials);
	try {
		return await use(bucket);
	} catch (error) {
		context.signal.throwIfAborted();
		throw explainOffsite(error, bucket.destination);
	} finally {
		bucket.client.destroy();
	}
}

/** The one for a restore that names none. */
function newestCopy({ config }: RunContext, bucket: Bucket, copies: readonly OffsiteCopy[]): string {
	const newest = newestToRestore(copies.map(asPoint), config.stack, new Date());
	if (newest) return newest.file;
	throw noGoodCopy(bucket);
}

function noGoodCopy({ destination }: Bucket): AgentError {
	return new AgentError(
		`there is no good copy in ${destination}; upload what is on the disk: ./docker-dev.sh backup push`,
	);
}

/** Those named, all, or the newest good full one. */
function choose(
	{ config }: RunContext,
	bucket: Bucket,
	copies: readonly OffsiteCopy[],
	files: readonly string[],
	{ all }: CommandOptions,
): OffsiteCopy[] {
	const newest = newestGoodFull(copies.map(asPoint), config.stack, new Date())?.file;
	const names = all ? copies.map(({ file }) => file) : files.length > 0 ? files : newest ? [newest] : [];
	if (names.length === 0) throw noGoodCopy(bucket);
	return names.map((name) => {
		const copy = copies.find(({ file }) => file === name);
		if (copy) return copy;
		throw new AgentError(
			`there is no copy of ${name} in ${bucket.destination}; see what there is: ./docker-dev.sh backup list`,
			exitCodes.usage,
		);
	});
}

function publicCopy(bucket: Bucket, copy: OffsiteCopy) {
	const { entityTags: _, ...rest } = copy;
	return { ...rest, url: urlOf(bucket, copy.key), good: isGoodCopy(copy) };
}

function copyLine(bucket: Bucket, copy: OffsiteCopy): string {
	const state =
		copy.incomplete ?? (copy.checked?.ok === false ? `DAMAGED: ${copy.checked.problem}` : "whole");
	return [
		urlOf(bucket, copy.key),
		copy.class ?? "unknown",
		copy.createdAt,
		`${copy.size} bytes`,
		copy.superseded ? `${state}, superseded` : state,
	].join("  ");
}
