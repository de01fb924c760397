/** Brings back what was there before a restore, and the services that ran. */
import type { ServiceName } from "../../components/catalogue.ts";
import { readRestoreJournal, removeRestoreJournal } from "../../recovery/restore-journal.ts";
import type { VerbContext } from "../context.ts";
import type { Ground } from "./ground.ts";
import { findHelpers, runStep, settleHelpers, stepRequest } from "./helper.ts";
import { awaitAnswers, startServices, stopServices, usersOfTargets } from "./writers.ts";

/** Seconds for a service to answer that answered before. */
const patienceSeconds = 120;

/**
 * From any phase, and any number of times: it is repeated by the next verb when it is cut off. Ctrl-C does not
 * end it.
 *
 * @param databaseRuns whether the application can be expected to answer afterwards. @default true
 * @throws StackError when it could not be done; the journal is then still there.
 */
export async function undoRestore(
	given: VerbContext,
	ground: Ground,
	{ databaseRuns = true }: { databaseRuns?: boolean } = {},
): Promise<void> {
	const context: VerbContext = { ...given, signal: new AbortController().signal };
	const { output, stack } = context;
	const begun = await readRestoreJournal(ground.directory, stack);
	if (!begun) return;
	await settleHelpers(await findHelpers(begun.id));
	const journal = await readRestoreJournal(ground.directory, stack);
	const services = begun.services as ServiceName[];
	if (journal && journal.phase !== "undone") {
		const { targets, phase, rebuild } = journal;
		if (rebuild || (phase !== "staging" && phase !== "staged")) {
			await stopServices(context, usersOfTargets(targets, rebuild));
		}
		if (!rebuild && targets.includes("database")) {
			await startServices(context, ["db"]);
			await awaitAnswers(context, ["db"], patienceSeconds);
		}
		const request = stepRequest(journal, "undo");
		await runStep(context, ground, { ...request, args: ["--keep-journal"] });
	}
	await startServices(context, services);
	if (journal) await removeRestoreJournal(ground.directory, stack);
	// A database with damaged files does not start, as before.
	const able = begun.rebuild || !databaseRuns ? services.filter((service) => service === "proxy") : services;
	await awaitAnswers(context, able, patienceSeconds).catch((error: Error) =>
		output.warning(`what was there before is back, and does not answer: ${error.message}`),
	);
}
