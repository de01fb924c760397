/** Runs the schedules, until it is told to stop. */
import { Cron } from "croner";
import { lastPlanned, nextPlanned } from "../recovery/freshness.ts";
import { acquireLock, LockedError, lockFile } from "../recovery/lock.ts";
import { isFromTheFuture, isGood, listPoints } from "../recovery/points.ts";
import { type RunRecord, readStatus, writeStatus } from "../recovery/status-file.ts";
import { sweepPartials } from "../recovery/sweep.ts";
import { Watch } from "./alarms/watch.ts";
import type { AgentConfig } from "./config.ts";
import { explain } from "./failure.ts";
import { serve } from "./http-server.ts";
import { runJob, startOperation, updateLink } from "./job.ts";
import { Uploads } from "./offsite/uploads.ts";
import type { RunContext } from "./recovery-point.ts";

type ScheduledClass = "daily" | "weekly";
/** The weekly first: it is a full backup too, so after it a missed daily one is not missing any more. */
const scheduledClasses: readonly ScheduledClass[] = ["weekly", "daily"];

/** Resolves when the signal ends it and the run that was going on has ended. */
export async function runScheduler(context: RunContext): Promise<void> {
	const { config, report, signal } = context;
	const watch = new Watch(context);
	const endService = config.metricsPort > 0 ? serve(context, watch) : undefined;
	const uploads = new Uploads(context);
	let going: Promise<void> = Promise.resolve();
	const retries = new Map<ScheduledClass, NodeJS.Timeout>();
	/** One after the other: two that fall together do not meet. */
	const enqueue = (pointClass: ScheduledClass, tries = 0): Promise<void> => {
		clearTimeout(retries.get(pointClass));
		going = going.then(async () => {
			if (signal.aborted) return;
			const { made, failed } = await attempt(context, pointClass);
			if (made) uploads.request();
			else if (!signal.aborted) tryAgain(pointClass, tries);
			void watch.look(failed);
		});
		return going;
	};
	const tryAgain = (pointClass: ScheduledClass, tries: number) => {
		const at = retryTime(config, pointClass, tries, new Date());
		if (!at) return;
		report({ event: "step", step: `the ${pointClass} backup is tried again at ${at.toISOString()}` });
		const retry = async () => {
			// Somebody may have made one meanwhile.
			const missing = await wasMissed(context, pointClass).catch(() => true);
			if (missing) await enqueue(pointClass, tries + 1);
		};
		retries.set(pointClass, setTimeout(retry, at.getTime() - Date.now()));
	};
	// A directory that cannot be used now is told by the watch, once; a program that ends would begin anew, and
	// tell it at every start.
	await prepare(context).catch((error) => {
		const { message } = explain(error, config.backupDirectory);
		report({ event: "warning", message: `the backup directory cannot be prepared: ${message}` });
	});
	uploads.request();
	const jobs = scheduledClasses.flatMap((pointClass) => {
		const expression = config.schedules[pointClass];
		if (expression === null) return [];
		const options = { timezone: config.timeZone, protect: true, name: pointClass };
		return [new Cron(expression, options, () => enqueue(pointClass))];
	});
	for (const job of jobs)
		report({ event: "step", step: `${job.name} backup next at ${job.nextRun()?.toISOString()}` });
	for (const pointClass of scheduledClasses) {
		if (await wasMissed(context, pointClass).catch(() => false)) {
			report({ event: "step", step: `the ${pointClass} backup was missed and is made now` });
			await enqueue(pointClass);
		}
	}
	if (!signal.aborted) {
		await new Promise<void>((resolve) => {
			// A timer keeps the process alive where there is no schedule at all.
			const alive = setInterval(() => undefined, 1 << 30);
			signal.addEventListener("abort", () => {
				clearInterval(alive);
				resolve();
			});
		});
	}
	for (const job of jobs) job.stop();
	for (const timer of retries.values()) clearTimeout(timer);
	await going;
	await uploads.end();
	endService?.();
	await watch.stop();
}

/** When a run that did not succeed is tried again; undefined where the next planned one comes first. */
export function retryTime(
	config: Pick<AgentConfig, "retryMinutes" | "schedules" | "timeZone">,
	pointClass: ScheduledClass,
	tries: number,
	now: Date,
): Date | undefined {
	const minutes = config.retryMinutes[tries] ?? config.retryMinutes.at(-1);
	const expression = config.schedules[pointClass];
	if (minutes === undefined || expression === null) return undefined;
	const at = new Date(now.getTime() + minutes * 60_000);
	const planned = nextPlanned(expression, config.timeZone, now);
	return planned && planned <= at ? undefined : at;
}

/** A run; `failed` says how it failed, unless it was only kept out by the lock or ended by a signal. */
async function attempt(
	context: RunContext,
	pointClass: ScheduledClass,
): Promise<{ made: boolean; failed?: RunRecord }> {
	const { config, report, signal } = context;
	const startedAt = new Date().toISOString();
	try {
		const { lockWaitSeconds } = config;
		const { index, seconds, pruned } = await runJob(context, "full", pointClass, { lockWaitSeconds });
		const took = `${(seconds.making + seconds.verifying).toFixed(1)} s`;
		const removed = pruned.length > 0 ? `; retention removed ${pruned.join(", ")}` : "";
		report({ event: "done", message: `${index.archive}: ${index.size} bytes in ${took}${removed}` });
		return { made: true };
	} catch (error) {
		const { message } = error as Error;
		const skipped = error instanceof LockedError;
		const outcome = skipped ? "was skipped" : "failed";
		report({ event: "failed", message: `the ${pointClass} backup ${outcome}: ${message}` });
		if (skipped || signal.aborted) return { made: false };
		const endedAt = new Date().toISOString();
		return {
			made: false,
			failed: { kind: "full", class: pointClass, startedAt, endedAt, outcome: "failed", message },
		};
	}
}

/** Clears what a killed run left, unless somebody is at work, and notes when backups began. */
async function prepare({ config, report }: RunContext): Promise<void> {
	const { backupDirectory, stack } = config;
	try {
		const lock = acquireLock(lockFile(backupDirectory, stack), startOperation);
		try {
			const swept = await sweepPartials(backupDirectory, stack);
			if (swept.length > 0)
				report({ event: "warning", message: `remains of a killed run were removed: ${swept.join(", ")}` });
			await updateLink(config);
		} finally {
			lock.release();
		}
	} catch (error) {
		if (!(error instanceof LockedError)) throw error;
	}
	if (!(await readStatus(backupDirectory, stack))) {
		await writeStatus(backupDirectory, stack, { since: new Date().toISOString() });
	}
}

/** Whether the last planned run has no recovery point, though the agent was there before it was due. */
async function wasMissed({ config }: RunContext, pointClass: ScheduledClass): Promise<boolean> {
	const expression = config.schedules[pointClass];
	if (expression === null) return false;
	const now = new Date();
	const due = lastPlanned(expression, config.timeZone, now);
	const status = await readStatus(config.backupDirectory, config.stack);
	if (!due || !status || new Date(status.since) > due) return false;
	const points = await listPoints(config.backupDirectory, config.timeZone);
	return !points.some(
		(point) =>
			point.kind === "full" &&
			point.stack === config.stack &&
			isGood(point) &&
			!isFromTheFuture(point, now) &&
			point.createdAt >= due &&
			(pointClass === "daily" || point.class === "weekly"),
	);
}
