/** Runs the schedules, until it is told to stop. */
import { Cron } from "croner";
import { lastPlanned } from "../recovery/freshness.ts";
import { acquireLock, LockedError, lockFile } from "../recovery/lock.ts";
import { isFromTheFuture, isGood, listPoints } from "../recovery/points.ts";
import { readStatus, writeStatus } from "../recovery/status-file.ts";
import { sweepPartials } from "../recovery/sweep.ts";
import { runJob, startOperation, updateLink } from "./job.ts";
import { Uploads } from "./offsite/uploads.ts";
import type { RunContext } from "./recovery-point.ts";

type ScheduledClass = "daily" | "weekly";
/** The weekly first: it is a full backup too, so after it a missed daily one is not missing any more. */
const scheduledClasses: readonly ScheduledClass[] = ["weekly", "daily"];

/** Resolves when the signal ends it and the run that was going on has ended. */
export async function runScheduler(context: RunContext): Promise<void> {
	const { config, report, signal } = context;
	const uploads = new Uploads(context);
	let going: Promise<void> = Promise.resolve();
	/** One after the other: two that fall together do not meet. */
	const enqueue = (pointClass: ScheduledClass): Promise<void> => {
		going = going.then(async () => {
			if (!signal.aborted && (await attempt(context, pointClass))) uploads.request();
		});
		return going;
	};
	await prepare(context);
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
		if (await wasMissed(context, pointClass)) {
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
	await going;
	await uploads.end();
}

/** Whether it was made. */
async function attempt(context: RunContext, pointClass: ScheduledClass): Promise<boolean> {
	try {
		const { index, seconds, pruned } = await runJob(
			context,
			"full",
			pointClass,
			context.config.lockWaitSeconds,
		);
		const took = `${(seconds.making + seconds.verifying).toFixed(1)} s`;
		const removed = pruned.length > 0 ? `; retention removed ${pruned.join(", ")}` : "";
		context.report({ event: "done", message: `${index.archive}: ${index.size} bytes in ${took}${removed}` });
		return true;
	} catch (error) {
		context.report({
			event: "failed",
			message: `the ${pointClass} backup failed: ${(error as Error).message}`,
		});
		return false;
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
