/** What the two ways of a handover have in common. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parse } from "yaml";
import { type EngineName, engineRecordFile } from "../../components/engine-in-use.ts";
import { writeDurably } from "../../recovery/durable-file.ts";
import type { Engine, Plan, RunOptions } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { type StackContext, stackFile } from "../stack-context.ts";
import type { HandoverJournal } from "./journal.ts";

export interface HandoverOptions extends RunOptions {
	/** Told what is going on, a line at a time. */
	readonly onProgress: (text: string) => void;
}

/** One way, from one engine to the other. `undo` and `finish` may be called again after a kill. */
export interface HandoverWay {
	/**
	 * Reads the record that is to be handed over.
	 *
	 * @throws EngineError when it cannot be, with nothing changed.
	 */
	prepare(): Promise<Pick<HandoverJournal, "created">>;
	/** Gives the other engine the record, and asks it what it would change. */
	attempt(journal: HandoverJournal): Promise<Plan>;
	/** Takes the record away from the other engine again. */
	undo(journal: HandoverJournal): Promise<void>;
	/** Takes the record away from the engine that had it; keeps it in the file that is returned. */
	finish(journal: HandoverJournal): Promise<string>;
}

/** Where the record of the engine that gives the stack away is kept; never deleted by this program. */
export function keptFile({ directories }: StackContext, from: EngineName, startedAt: string): string {
	return join(directories.state, `handed-over-by-${from}-${startedAt.replace(/[-:]|\.\d+/g, "")}.json`);
}

/** From here on the stack is this engine's. */
export async function recordEngine({ directories }: StackContext, engine: EngineName): Promise<void> {
	await writeDurably(engineRecordFile(directories.state), `${engine}\n`);
}

/** Takes what Pulumi noted in the stack's settings file out again, unless somebody has edited the file since. */
export async function restoreSettings({ project, identity }: StackContext, text: string): Promise<void> {
	const file = stackFile(project, identity.stack);
	const now = await readFile(file, "utf8");
	// As the program gets them: Pulumi writes numbers and flags as text.
	const settings = (yaml: string) =>
		Object.entries((parse(yaml) as { config?: Record<string, unknown> } | null)?.config ?? {}).map(
			([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)],
		);
	if (now !== text && isDeepStrictEqual(settings(now), settings(text))) await writeFile(file, text);
}

/** @throws EngineError when the engine that has the stack has something to apply: nobody could tell it from a loss. */
export async function refusePending(
	{ identity }: StackContext,
	engine: Engine,
	{ onProgress, signal }: HandoverOptions,
): Promise<void> {
	onProgress(`asking the ${engine.name} engine whether everything is applied`);
	const plan = await engine.preview({ signal });
	const pending = plan.filter(({ operation }) => operation !== "same").map(({ name }) => name);
	if (pending.length === 0) return;
	throw new EngineError(
		`settings or sources of stack ${identity.stack} have changed and are not applied (${pending.join(", ")}); nothing was changed. Apply or undo that first: ./docker-dev.sh -s ${identity.stack} --engine ${engine.name} up`,
	);
}
