/** A run from the lock to the retention. */
import { setTimeout as sleep } from "node:timers/promises";
import { updateLatest } from "../recovery/latest.ts";
import {
	acquireLock,
	type Lock,
	LockedError,
	lockFile,
	lockHolder,
	lockTokenVariable,
} from "../recovery/lock.ts";
import type { PointClass, PointKind, SafetyOccasion } from "../recovery/manifest.ts";
import { destinationOf, isGoodCopy, readOffsite } from "../recovery/offsite.ts";
import { isGood, listPoints, type RecoveryPoint } from "../recovery/points.ts";
import { carryOut } from "../recovery/prune.ts";
import { readRestoreJournal, unfinishedRestore } from "../recovery/restore-journal.ts";
import { planRetention, type RetentionPlan } from "../recovery/retention.ts";
import { type RunRecord, readStatus, type SkipRecord, writeStatus } from "../recovery/status-file.ts";
import { sweepPartials } from "../recovery/sweep.ts";
import type { AgentConfig } from "./config.ts";
import { AgentError, explain } from "./failure.ts";
import { type MadePoint, makeRecoveryPoint, type RunContext } from "./recovery-point.ts";

export interface JobResult extends MadePoint {
	/** What retention removed after it. */
	readonly pruned: readonly string[];
}

interface JobOptions {
	readonly lockWaitSeconds?: number;
	readonly prune?: boolean;
	readonly before?: SafetyOccasion;
}

const noRuns = { success: 0, failed: 0, skipped: 0 };

/** What the lock says while the agent starts. */
export const startOperation = "start of the backup agent";
const startPatienceSeconds = 10;

/**
 * Makes a recovery point, then applies the retention, then moves the link to the newest. What fails is in the
 * status file and thrown; retention then did not run. A run that the lock keeps out did not fail, and is
 * remembered as skipped.
 *
 * @param options.lockWaitSeconds how long to wait for somebody else's lock. @default 0
 * @param options.before what a safety backup is made before.
 * @param options.prune whether retention runs after it. @default true
 */
export async function runJob(
	context: RunContext,
	kind: PointKind,
	pointClass: PointClass,
	{ lockWaitSeconds = 0, prune = true, before }: JobOptions = {},
): Promise<JobResult> {
	const { config, report } = context;
	const startedAt = new Date();
	const name = kind === "full" ? `${pointClass} backup` : "database backup";
	let lock: Lock | undefined;
	try {
		lock = await takeLock(context, name, lockWaitSeconds);
		const swept = await sweepPartials(config.backupDirectory, config.stack);
		if (swept.length > 0)
			report({ event: "warning", message: `remains of a killed run were removed: ${swept.join(", ")}` });
		const made = await makeRecoveryPoint(context, kind, pointClass, before);
		const pruned = prune ? await applyRetention(config) : await keepAll(config);
		const record = {
			kind,
			class: pointClass,
			startedAt: startedAt.toISOString(),
			endedAt: new Date().toISOString(),
		};
		await remember(config, {
			...record,
			outcome: "success",
			file: made.index.archive,
			seconds: made.seconds,
		});
		return { ...made, pruned };
	} catch (cause) {
		const endedAt = new Date().toISOString();
		if (cause instanceof LockedError) {
			const skip = { kind, class: pointClass, at: endedAt, message: cause.message };
			await rememberSkip(config, skip).catch(() => undefined);
			throw cause;
		}
		const failure = explain(cause, config.backupDirectory);
		await remember(config, {
			kind,
			class: pointClass,
			startedAt: startedAt.toISOString(),
			endedAt,
			outcome: "failed",
			message: failure.message,
			interrupted: context.signal.aborted || undefined,
		}).catch(() => undefined);
		throw failure;
	} finally {
		lock?.release();
	}
}

/** The retention alone, under the lock. */
export async function prune(context: RunContext): Promise<{ plan: RetentionPlan; deleted: string[] }> {
	const lock = await takeLock(context, "prune", 0);
	try {
		const plan = await retentionPlan(context.config);
		const deleted = await carryOut(context.config.backupDirectory, plan);
		await updateLink(context.config);
		return { plan, deleted };
	} finally {
		lock.release();
	}
}

export async function retentionPlan(config: AgentConfig, now = new Date()): Promise<RetentionPlan> {
	const points = await listPoints(config.backupDirectory, config.timeZone);
	return planRetention(
		points,
		{ days: config.retentionDays, minimumCopies: config.minimumCopies },
		config.stack,
		now,
		await notOffsiteYet(config, points),
	);
}

/** Good recovery points that have no good copy in the bucket, as far as is known; none where there is no bucket. */
async function notOffsiteYet(
	{ offsite, backupDirectory, stack }: AgentConfig,
	points: readonly RecoveryPoint[],
): Promise<ReadonlySet<string>> {
	if (!offsite) return new Set();
	const record = await readOffsite(backupDirectory, stack, destinationOf(offsite, stack));
	const there = new Set(record?.copies.filter(isGoodCopy).map(({ file }) => file));
	return new Set(points.filter((point) => isGood(point) && !there.has(point.file)).map(({ file }) => file));
}

export async function updateLink(config: AgentConfig): Promise<void> {
	const points = await listPoints(config.backupDirectory, config.timeZone);
	await updateLatest(config.backupDirectory, points, config.stack, new Date());
}

async function keepAll(config: AgentConfig): Promise<string[]> {
	await updateLink(config);
	return [];
}

async function applyRetention(config: AgentConfig): Promise<string[]> {
	const deleted = await carryOut(config.backupDirectory, await retentionPlan(config));
	await updateLink(config);
	return deleted;
}

/** A caller that holds the lock itself hands its token on; then it is the lock of this run too. */
async function takeLock(
	{ config, signal }: RunContext,
	operation: string,
	waitSeconds: number,
): Promise<Lock> {
	const file = lockFile(config.backupDirectory, config.stack);
	const token = process.env[lockTokenVariable];
	if (token && lockHolder(file)?.token === token) return { token, release: () => undefined };
	const began = Date.now();
	for (;;) {
		try {
			const lock = acquireLock(file, operation);
			await requireNoRestore(config).catch((error) => {
				lock.release();
				throw error;
			});
			return lock;
		} catch (error) {
			if (!(error instanceof LockedError)) throw error;
			// The start of the agent takes no time; who comes at that moment is not sent away for it.
			const isStart = error.owner.operation === startOperation;
			const patience = isStart ? Math.max(waitSeconds, startPatienceSeconds) : waitSeconds;
			if (Date.now() - began >= patience * 1000) throw error;
			await sleep(isStart ? 100 : 2000, undefined, { signal });
		}
	}
}

/** @throws AgentError while a restore is unfinished: what is there then may be half of one thing and half of another. */
async function requireNoRestore({ backupDirectory, stack }: AgentConfig): Promise<void> {
	const journal = await readRestoreJournal(backupDirectory, stack);
	if (journal) throw new AgentError(unfinishedRestore(journal));
}

async function remember(config: AgentConfig, run: RunRecord): Promise<void> {
	const before = await readStatus(config.backupDirectory, config.stack);
	const runs = before?.runs ?? noRuns;
	await writeStatus(config.backupDirectory, config.stack, {
		...before,
		since: before?.since ?? run.startedAt,
		lastRun: run,
		lastSuccess: run.outcome === "success" && run.kind === "full" ? run : before?.lastSuccess,
		runs: { ...runs, [run.outcome]: runs[run.outcome] + 1 },
	});
}

async function rememberSkip(config: AgentConfig, skip: SkipRecord): Promise<void> {
	const before = await readStatus(config.backupDirectory, config.stack);
	const runs = before?.runs ?? noRuns;
	await writeStatus(config.backupDirectory, config.stack, {
		...before,
		since: before?.since ?? skip.at,
		lastSkipped: skip,
		runs: { ...runs, skipped: runs.skipped + 1 },
	});
}
