/**
 * Hands a stack over from one engine to the other: the record of its objects moves, the objects are not touched.
 * The other engine gets the record first and says what it would change; only when that is nothing that costs an
 * object is the handover accepted, else it is undone.
 */
import { readFile } from "node:fs/promises";
import { type EngineName, handoverVariable } from "../../components/engine-in-use.ts";
import type { Plan } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { type StackContext, stackFile } from "../stack-context.ts";
import { type HandoverJournal, readJournal, removeJournal, writeJournal } from "./journal.ts";
import { HandoverToLocal } from "./to-local.ts";
import { HandoverToPulumi } from "./to-pulumi.ts";
import type { HandoverOptions, HandoverWay } from "./way.ts";

export interface HandedOver {
	/** What the other engine will change at its next up: nothing, or updates in place. */
	readonly plan: Plan;
	/** File in which the former engine's record is kept. */
	readonly kept: string;
}

const ways: Readonly<
	Record<EngineName, new (context: StackContext, options: HandoverOptions) => HandoverWay>
> = { local: HandoverToLocal, pulumi: HandoverToPulumi };

/**
 * Hands the stack over. To be called under the stack's lock, with no handover unfinished.
 *
 * @throws EngineError when it cannot be handed over, or the other engine would create, replace or delete an object;
 * the stack is then as before, and the present engine's.
 */
export async function handOver(
	context: StackContext,
	to: EngineName,
	options: HandoverOptions,
): Promise<HandedOver> {
	const { state } = context.directories;
	const way = new ways[to](context, options);
	const prepared = await way.prepare();
	const journal: HandoverJournal = {
		to,
		phase: "trying",
		startedAt: new Date().toISOString(),
		settings: await readFile(stackFile(context.project, context.identity.stack), "utf8"),
		...prepared,
	};
	await writeJournal(state, journal);
	let plan: Plan;
	try {
		plan = await asHandover(() => way.attempt(journal));
		refuseLosses(plan, context, to);
		options.signal?.throwIfAborted();
	} catch (error) {
		await undo(context, journal, options).catch((failure: Error) => {
			throw new EngineError(
				`${(error as Error).message}\nThe handover could not be undone either: ${failure.message}\nNo object was touched, and neither engine applies the stack until this is undone: ./docker-dev.sh -s ${context.identity.stack} handover`,
				{ cause: error },
			);
		});
		throw error;
	}
	await writeJournal(state, { ...journal, phase: "accepted" });
	return { plan, kept: await finish(context, journal, options) };
}

/** Undoes or finishes a handover that was killed; undefined where there was none. */
export async function settleHandover(
	context: StackContext,
	options: HandoverOptions,
): Promise<{ to: EngineName; outcome: "undone" | "finished" } | undefined> {
	const journal = readJournal(context.directories.state);
	if (!journal) return undefined;
	if (journal.phase === "trying") await undo(context, journal, options);
	else await finish(context, journal, options);
	return { to: journal.to, outcome: journal.phase === "trying" ? "undone" : "finished" };
}

async function undo(
	context: StackContext,
	journal: HandoverJournal,
	{ onProgress }: HandoverOptions,
): Promise<void> {
	// Also after Ctrl-C: half a handover is what nobody wants.
	const way = new ways[journal.to](context, { onProgress });
	await way.undo(journal);
	await removeJournal(context.directories.state);
}

async function finish(
	context: StackContext,
	journal: HandoverJournal,
	{ onProgress }: HandoverOptions,
): Promise<string> {
	const kept = await new ways[journal.to](context, { onProgress }).finish(journal);
	await removeJournal(context.directories.state);
	return kept;
}

/** The program lets the other engine look at the stack meanwhile. */
async function asHandover<T>(work: () => Promise<T>): Promise<T> {
	process.env[handoverVariable] = "1";
	try {
		return await work();
	} finally {
		delete process.env[handoverVariable];
	}
}

function refuseLosses(plan: Plan, { identity }: StackContext, to: EngineName): void {
	const losses = plan.filter(({ operation }) => operation !== "same" && operation !== "update");
	if (losses.length === 0) return;
	const lines = losses.map(({ operation, name, differences }) => {
		const because = differences.map(({ property }) => property).join(", ");
		return `  ${operation} ${name}${because ? `, because of: ${because}` : ""}`;
	});
	const from = to === "pulumi" ? "local" : "pulumi";
	throw new EngineError(
		`the ${to} engine would not leave every object as it is, so the handover was undone; the ${from} engine has the stack as before:\n${lines.join("\n")}\nWhere an object is missing or was changed by hand, mend that first: ./docker-dev.sh -s ${identity.stack} --engine ${from} up --refresh`,
	);
}
