/** The commands of a restore, in the helper that does the work: `agent restore check|stage|swap|undo|finish|rebuild`. */

import { DamagedError } from "../../recovery/damaged-error.ts";
import { DisturbedError } from "../../recovery/exchange.ts";
import { acquireLock } from "../../recovery/lock.ts";
import {
	type RedisChoice,
	type RestoreJournal,
	type RestoreTarget,
	readRestoreJournal,
	redisChoices,
	restoreJournalFile,
	restoreTargets,
} from "../../recovery/restore-journal.ts";
import { AgentError, exitCodes, explain } from "../failure.ts";
import type { RunContext } from "../recovery-point.ts";
import { checkRestore } from "./check.ts";
import { stage } from "./stage.ts";
import { finish, rebuild, swap, undo } from "./swap.ts";

export const restoreUsage = `agent restore check FILE [--only TARGET]... [--redis keep|restore|clear] [--identity FILE] [--rebuild] [--with-stdin]
agent restore stage --id ID [--identity FILE]
agent restore swap --id ID
agent restore undo --id ID [--keep-journal]
agent restore finish --id ID
agent restore rebuild --id ID`;

export interface RestoreOptions {
	readonly id?: string;
	readonly only: readonly string[];
	readonly redis: string;
	readonly identity?: string;
	readonly rebuild: boolean;
	readonly keepJournal: boolean;
}

/** Whether a command goes on to its end whatever signal comes: half of it would be worse than all. */
export function isUninterruptible(operands: readonly string[]): boolean {
	return ["swap", "undo", "finish", "rebuild"].includes(operands[0] ?? "");
}

/** Runs one of them. @returns its result. */
export async function restoreCommand(
	context: RunContext,
	[name = "", file, ...rest]: readonly string[],
	options: RestoreOptions,
): Promise<unknown> {
	try {
		if (name === "check" && file !== undefined && rest.length === 0)
			return await check(context, file, options);
		const step = steps[name];
		if (!step || file !== undefined) throw new AgentError(`usage: ${restoreUsage}`, exitCodes.usage);
		return await underLock(context, name, options, step);
	} catch (error) {
		throw explainRestore(error, context);
	}
}

type Step = (context: RunContext, journal: RestoreJournal, options: RestoreOptions) => Promise<unknown>;

const steps: Readonly<Record<string, Step>> = {
	stage: stageOrClear,
	swap: swapOrUndo,
	undo: async ({ config }, journal, { keepJournal }) => {
		await undo(config, journal, keepJournal);
		return {};
	},
	finish: ({ config }, journal) => finish(config, journal),
	rebuild: async (_, journal) => {
		await rebuild(journal);
		return {};
	},
};

function check(context: RunContext, path: string, options: RestoreOptions): Promise<unknown> {
	const only = options.only.map((target) => oneOf(restoreTargets, target, "--only") as RestoreTarget);
	const redis = oneOf(redisChoices, options.redis, "--redis") as RedisChoice;
	return checkRestore(context, { path, only, redis, identity: options.identity, rebuild: options.rebuild });
}

/** One step at a time: a helper that outlived its command is not overtaken by the next. */
async function underLock(
	context: RunContext,
	name: string,
	options: RestoreOptions,
	step: Step,
): Promise<unknown> {
	const { backupDirectory, stack } = context.config;
	const lock = acquireLock(`${restoreJournalFile(backupDirectory, stack)}.lock`, `restore ${name}`);
	try {
		const journal = await readRestoreJournal(backupDirectory, stack);
		if (!journal || journal.id !== options.id) {
			const there = journal ? `the one that is unfinished is ${journal.id}` : "none is unfinished";
			throw new AgentError(`there is no restore ${options.id ?? "without --id"}: ${there}`, exitCodes.usage);
		}
		return await step(context, journal, options);
	} finally {
		lock.release();
	}
}

async function stageOrClear(
	context: RunContext,
	journal: RestoreJournal,
	{ identity }: RestoreOptions,
): Promise<unknown> {
	if (journal.phase !== "staging") {
		throw new AgentError(`the restore is ${journal.phase} already; nothing was changed`);
	}
	try {
		return await stage(context, journal, identity);
	} catch (error) {
		// Whoever has put a new cluster into place takes that back, and with it all that is in it.
		if (journal.rebuild) throw error;
		throw await backToBefore(
			context,
			error,
			"the live data were not touched, and what was staged was removed",
		);
	}
}

async function swapOrUndo(context: RunContext, journal: RestoreJournal): Promise<unknown> {
	try {
		await swap(context.config, journal);
		return {};
	} catch (error) {
		// A swap that was killed is for undo; and a new cluster goes back with all that is in it.
		if (journal.phase !== "staged" || journal.rebuild) throw error;
		throw await backToBefore(context, error, "everything is as before");
	}
}

/** Undoes the restore after a failure. @returns the failure, with what became of the data. */
async function backToBefore(context: RunContext, failure: unknown, outcome: string): Promise<AgentError> {
	const { config } = context;
	const { message, exitCode } = explainRestore(failure, context);
	try {
		const journal = await readRestoreJournal(config.backupDirectory, config.stack);
		if (journal) await undo(config, journal, false);
		return new AgentError(`${message}; ${outcome}`, exitCode);
	} catch (error) {
		return new AgentError(
			`${message}; and what was done could not be undone yet (${(error as Error).message}). ./docker-dev.sh start puts it right`,
			exitCode,
		);
	}
}

function explainRestore(error: unknown, { config, signal }: RunContext): AgentError {
	if (error instanceof AgentError) return error;
	if (signal.aborted) return explain(signal.reason, config.backupDirectory);
	if (error instanceof DamagedError) return new AgentError(error.message, exitCodes.invalid);
	if (error instanceof DisturbedError) return new AgentError(error.message);
	const { code, message } = error as NodeJS.ErrnoException;
	if (code === "ENOSPC") return new AgentError(`a disk is full (${message})`);
	return explain(error, config.backupDirectory);
}

function oneOf(known: readonly string[], value: string, option: string): string {
	if (known.includes(value)) return value;
	throw new AgentError(`${option} knows no ${value}; write ${known.join(", ")}`, exitCodes.usage);
}
