/** The moments in which old and new content change places, forth and back; each can be killed and repeated. */
import { Exchange, hiddenPrefix, stagingName } from "../../recovery/exchange.ts";
import {
	type RestoreJournal,
	type RestorePhase,
	removeRestoreJournal,
	replaces,
	writeRestoreJournal,
} from "../../recovery/restore-journal.ts";
import { output } from "../children.ts";
import type { AgentConfig } from "../config.ts";
import { AgentError } from "../failure.ts";
import { finishDatabases, swapDatabases, undoDatabases } from "./databases.ts";
import { mountOf, requireMount, volumeTargets } from "./mounts.ts";
import { applyRoles } from "./roles.ts";
import { connectBeside, type Session } from "./server.ts";

/** Seconds for which a server that is starting is waited for. */
const patience = 60;

/** Nothing ends these steps on the way but a kill: they take moments, and what follows one is another. */
const never = new AbortController().signal;

/**
 * Puts the new content into place; nobody else may use it meanwhile.
 *
 * @throws Error; whoever calls it undoes then what was done.
 */
export async function swap(config: AgentConfig, journal: RestoreJournal): Promise<void> {
	requirePhase(journal, ["staged"]);
	const exchanges = exchangesOf(journal);
	let current = await enter(config, journal, "swapping");
	if (replaces(journal, "database")) current = await swapDatabase(config, current);
	for (const exchange of exchanges) await exchange.forward();
	await enter(config, current, "swapped");
}

async function swapDatabase(config: AgentConfig, journal: RestoreJournal): Promise<RestoreJournal> {
	const { id, database } = journal;
	if (!database) throw new AgentError("the journal does not say what was staged of the database");
	let current = journal;
	await withServer(config, ({ query }) =>
		swapDatabases(query, config.database.name, id, database.comment, async () => {
			const rolesBefore = await applyRoles(query, database.roles, database.createdRoles, id);
			// On the disk before the transaction is: else nobody could undo it.
			current = { ...journal, database: { ...database, rolesBefore } };
			await writeRestoreJournal(config.backupDirectory, current);
		}),
	);
	return current;
}

/**
 * Brings back exactly what was before, from wherever the restore has come to, and removes what it made.
 *
 * @param keepJournal services are still to be started: the journal then says that this is all there is to do.
 */
export async function undo(
	config: AgentConfig,
	journal: RestoreJournal,
	keepJournal: boolean,
): Promise<void> {
	if (journal.phase === "finishing") {
		throw new AgentError(
			"the restore is complete, and what was before is being removed: there is nothing to go back to. ./docker-dev.sh start completes it",
		);
	}
	const exchanges = exchangesOf(journal);
	let current = journal;
	if (journal.phase !== "undone") {
		current = await enter(config, journal, "undoing");
		for (const exchange of exchanges) {
			await exchange.back();
			exchange.remove();
		}
		if (journal.rebuild) {
			const exchange = clusterExchange(journal);
			await exchange.back();
			exchange.remove();
		} else if (replaces(journal, "database")) {
			await withServer(config, ({ query }) => undoDatabases(query, config.database.name, current));
		}
	}
	if (keepJournal || journal.services.length > 0) await enter(config, current, "undone");
	else await removeRestoreJournal(config.backupDirectory, journal.stack);
}

export interface FinishResult {
	/** The files of a database that did not start, kept aside. */
	readonly damaged?: { readonly path: string; readonly bytes: number };
}

/** Removes what was before; from here on there is no way back. */
export async function finish(config: AgentConfig, journal: RestoreJournal): Promise<FinishResult> {
	requirePhase(journal, ["swapped", "finishing"]);
	const exchanges = exchangesOf(journal);
	await enter(config, journal, "finishing");
	if (replaces(journal, "database")) {
		await withServer(config, ({ query }) => finishDatabases(query, journal.id));
	}
	for (const exchange of exchanges) exchange.remove();
	let result: FinishResult = {};
	if (journal.rebuild) {
		const name = `${hiddenPrefix}-damaged-${journal.id}`;
		clusterExchange(journal).keepOld(name);
		const sizes = await output("du", ["--summarize", "--block-size=1", `${mountOf("database")}/${name}`], {
			signal: never,
		});
		result = { damaged: { path: name, bytes: Number.parseInt(sizes, 10) } };
	}
	await removeRestoreJournal(config.backupDirectory, journal.stack);
	return result;
}

/** Puts a newly made cluster into the place of one that does not start; the server must be stopped. */
export async function rebuild(journal: RestoreJournal): Promise<void> {
	requirePhase(journal, ["staging"]);
	if (!journal.rebuild)
		throw new AgentError("this restore does not rebuild the database; nothing was changed");
	const exchange = clusterExchange(journal);
	await output("sync", ["--file-system", mountOf("database")], { signal: never });
	await exchange.forward();
}

function exchangesOf(journal: RestoreJournal): Exchange[] {
	return volumeTargets
		.filter((target) => replaces(journal, target))
		.map((target) => new Exchange(requireMount(target), stagingName(journal.id)));
}

function clusterExchange(journal: RestoreJournal): Exchange {
	return new Exchange(requireMount("database"), stagingName(journal.id));
}

async function withServer(config: AgentConfig, work: (session: Session) => Promise<void>): Promise<void> {
	const session = await connectBeside(config, never, patience);
	try {
		await work(session);
	} finally {
		await session.close();
	}
}

async function enter(
	config: AgentConfig,
	journal: RestoreJournal,
	phase: RestorePhase,
): Promise<RestoreJournal> {
	const next = { ...journal, phase };
	await writeRestoreJournal(config.backupDirectory, next);
	return next;
}

function requirePhase(journal: RestoreJournal, phases: readonly RestorePhase[]): void {
	if (phases.includes(journal.phase)) return;
	throw new AgentError(
		`the restore is ${journal.phase}, and not ${phases.join(" or ")}; nothing was changed`,
	);
}
