/**
 * Puts an unfinished restore right before anything else is done: the command that ran it, or its helper, was
 * killed. Before the swap was complete everything is brought back; after it the new data stays if it answers.
 */
import type { ServiceName } from "../components/catalogue.ts";
import { type RestoreJournal, readRestoreJournal, writeRestoreJournal } from "../recovery/restore-journal.ts";
import type { VerbContext } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";
import type { RecoveryOptions } from "./lock.ts";
import { findGround, type Ground } from "./restore/ground.ts";
import { findHelpers, runStep, settleHelpers, stepRequest } from "./restore/helper.ts";
import { withContainers } from "./restore/makeshift.ts";
import { undoRestore } from "./restore/undo.ts";
import { awaitAnswers, containersOf, startServices } from "./restore/writers.ts";

/** Seconds for the services to answer on the restored data. */
const patienceSeconds = 120;

/**
 * Does nothing where no restore is unfinished. The caller holds the lock.
 *
 * @throws StackError with exit code 6 when the database does not start, and may not be lost.
 */
export async function recoverRestore(
	context: VerbContext,
	{ databaseMayBeLost = false }: RecoveryOptions = {},
): Promise<void> {
	const { output, stack } = context;
	const { backups } = context.load().directories;
	const journal = await readRestoreJournal(backups, stack);
	if (!journal) return;
	output.notice(
		`the restore of ${journal.archive}, begun at ${journal.startedAt}, was cut off (${journal.phase}); it is put right first`,
	);
	await withContainers(context, journal.id, async () => {
		try {
			await recover(context, journal);
		} catch (error) {
			const doesNotStart = error instanceof StackError && error.exitCode === exitCodes.unhealthy;
			if (!databaseMayBeLost || !doesNotStart) throw error;
			await recoverFiles(context, error);
		}
	});
}

/** Of the database nothing is touched: whatever of it is old or new stays in the files that do not start. */
async function recoverFiles(context: VerbContext, reason: StackError): Promise<void> {
	const { output, stack } = context;
	const ground = await findGround(context);
	const journal = await readRestoreJournal(ground.directory, stack);
	if (!journal) return;
	output.warning(`the database does not start, so only the files are put right: ${reason.message}`);
	const { database: _, targets, ...rest } = journal;
	const lessened = { ...rest, targets: targets.filter((target) => target !== "database") };
	await writeRestoreJournal(ground.directory, lessened);
	if (journal.phase === "finishing") await runStep(context, ground, stepRequest(lessened, "finish"));
	else await undoRestore(context, ground, { databaseRuns: false });
}

async function recover(context: VerbContext, journal: RestoreJournal): Promise<void> {
	const { output, stack } = context;
	const ground = await findGround(context);
	// Its helper may be at work still: staging is ended, a swap has to be over before anything else can be done.
	await settleHelpers(await findHelpers(journal.id));
	const settled = await readRestoreJournal(ground.directory, stack);
	if (!settled) {
		await startServices(context, journal.services as ServiceName[]);
		output.notice("its own helper has put it right meanwhile");
	} else if (await completes(context, ground, settled)) {
		output.notice(`the data of ${journal.archive} is in place`);
	} else {
		await undoRestore(context, ground);
		output.notice("what was there before is back in place; the restore can be run again");
	}
}

/** Whether the restored data is in place and stays. */
async function completes(context: VerbContext, ground: Ground, journal: RestoreJournal): Promise<boolean> {
	if (journal.phase !== "swapped" && journal.phase !== "finishing") return false;
	const services = journal.services as ServiceName[];
	// What was removed since cannot answer on the new data: what was there before is known to have been well.
	const present = await containersOf(context, services);
	if (journal.phase === "swapped" && present.length < services.length) return false;
	try {
		await startServices(context, ["db", ...services]);
		await awaitAnswers(context, ["db", ...services], patienceSeconds);
	} catch (error) {
		context.signal.throwIfAborted();
		// What was there before is being removed: the new data is all there is.
		if (journal.phase === "finishing") throw error;
		context.output.warning(`the restored data does not answer: ${(error as Error).message}`);
		return false;
	}
	await runStep(context, ground, stepRequest(journal, "finish"));
	return true;
}
