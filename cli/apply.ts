/** Applies the program for the verbs that do so: up, rebuild, and start where something is missing. */

import { appliedBy } from "../components/engine-in-use.ts";
import type { Engine, Plan, RunOptions, UpOptions, UpResult } from "../engine/engine.ts";
import type { VerbContext } from "./context.ts";
import { isRemote } from "./docker.ts";
import { StackError } from "./errors.ts";
import { ensureHostDirectories } from "./host-directories.ts";
import { withLock } from "./lock.ts";
import type { MadeBackup } from "./make-backup.ts";
import { duration } from "./output.ts";
import { changes, migrates, objects, operationWords, volumeVerdicts } from "./plan.ts";
import { EngineProgress } from "./progress.ts";
import { dockerHost } from "./setup/docker-host.ts";
import { setupReport } from "./setup-report.ts";
import { findStackVolumes } from "./volumes.ts";

export interface ApplyRequest {
	/** What the lock says is going on. */
	readonly operation: string;
	readonly refresh: boolean;
	/** Refuses a plan by throwing; called besides the refusal of data loss. */
	readonly approve?: (plan: Plan) => void;
	/** Whether a running database is backed up before it is migrated. @default true */
	readonly backup?: boolean;
}

export interface Applied extends UpResult {
	/** The database backup that was taken before the migration. */
	readonly backup?: MadeBackup;
	readonly engine: Engine["name"];
	readonly seconds: number;
}

/** Sees to Docker: installs or starts it where that is allowed, or says why it does not answer. */
export async function readyDocker(context: VerbContext): Promise<void> {
	if (isRemote(dockerHost())) return;
	const { ensureDocker } = await import("./setup/docker.ts");
	await ensureDocker({ install: mayInstall(context), report: setupReport(context.output) });
}

/** The starter takes --no-install to itself where it stands before the verb, and leaves a variable. */
function mayInstall({ globals }: VerbContext): boolean {
	return globals.install !== false && !process.env.PERSISTENT_STACK_NO_INSTALL;
}

/** Opens the stack's engine, or the one that the options name. */
export async function openStackEngine(context: VerbContext): Promise<Engine> {
	const { openEngine } = await import("../engine/open.ts");
	return await openEngine(context.load(), context.globals.engine);
}

/** Brings about what the program declares, under the lock, and tells what happens. */
export async function apply(
	context: VerbContext,
	{ operation, refresh, approve, backup = true }: ApplyRequest,
): Promise<Applied> {
	const { output } = context;
	const stack = context.load();
	const started = performance.now();
	await readyDocker(context);
	return await withLock(context, operation, async () => {
		await readyImages(context);
		for (const path of await ensureHostDirectories(stack)) output.progress(`created   directory  ${path}`);
		const engine = await openStackEngine(context);
		output.progress(`stack ${context.stack}, by the ${engine.name} engine`);
		const existing = new Set(
			(await findStackVolumes(context)).filter(({ found }) => found).map(({ key }) => key),
		);
		const appliedBefore = appliedBy(stack.directories.state) !== undefined;
		const { refuseDataLoss } = await import("../engine/data-guard.ts");
		let made: MadeBackup | undefined;
		const result = await run(context, (options, progress) =>
			engine.up({
				...options,
				refresh,
				approve: async (plan) => {
					refuseDataLoss(plan);
					approve?.(plan);
					if (appliedBefore) warnOfEmptyVolumes(context, plan, existing);
					if (!backup || !migrates(plan) || isRemote(dockerHost())) return;
					made = await backupFirst(context, operation);
					progress.begin("applying");
				},
			}),
		);
		const seconds = (performance.now() - started) / 1000;
		output.progress(`${summary(result.plan)}, in ${duration(seconds)}`);
		return { ...result, backup: made, engine: engine.name, seconds };
	});
}

/** The agent gets in under the lock that this verb holds. */
async function backupFirst(context: VerbContext, operation: string): Promise<MadeBackup | undefined> {
	const { backupBeforeMigration } = await import("./make-backup.ts");
	const skip = context.command(`${operation} --no-backup`);
	return await backupBeforeMigration(context, { untouched: "nothing was changed", skip });
}

/** Runs an engine with its progress shown; what failed is told once. */
export async function run<T>(
	context: VerbContext,
	work: (options: RunOptions & UpOptions, progress: EngineProgress) => Promise<T>,
): Promise<T> {
	const progress = new EngineProgress(context.output, context.load().identity.prefix, context.signal);
	progress.begin("working out what has to change");
	try {
		return await work({ onEvent: progress.onEvent, signal: context.signal }, progress);
	} catch (error) {
		progress.end();
		if (context.signal.aborted) {
			context.output.progress("What was done is recorded; the same command goes on from there.");
			throw context.signal.reason;
		}
		const { message } = error as Error;
		for (const failure of progress.failures) {
			if (!message.includes(failure)) context.output.progress(failure);
		}
		throw error;
	} finally {
		progress.end();
	}
}

/** `3 created, 1 replaced, 20 unchanged`; of what is only planned: `3 to create, 1 to replace, 20 to keep`. */
export function summary(plan: Plan, state: "done" | "planned" = "done"): string {
	const steps = objects(plan);
	const counts = Object.entries(operationWords).map(([operation, words]) => {
		const number = steps.filter((step) => step.operation === operation).length;
		return number > 0 ? `${number} ${state === "done" ? words.done : `to ${words.plan}`}` : "";
	});
	// Unchanged ones last: they matter least.
	return [...counts.slice(1), counts[0]].filter(Boolean).join(", ") || "nothing";
}

/** Changed steps as --json shows them. */
export function changesAsJson(plan: Plan): unknown[] {
	return changes(plan).map(({ operation, type, name, urn, differences }) => ({
		operation,
		type,
		name,
		urn,
		differences,
	}));
}

async function readyImages(context: VerbContext): Promise<void> {
	const { settings, directories } = context.load();
	// Set-up is for the host of this command line only.
	if (isRemote(dockerHost())) return;
	const { ensureImages } = await import("./setup/images.ts");
	const choice = settings.imageSource === "auto" ? undefined : settings.imageSource;
	await ensureImages({ stackDirectory: directories.state, choice, report: setupReport(context.output) });
}

/** A volume that the stack had and that is gone: whoever removed it may not know what was in it. */
function warnOfEmptyVolumes(
	{ output, command }: VerbContext,
	plan: Plan,
	existing: ReadonlySet<string>,
): void {
	for (const { key, operation, dataClass } of volumeVerdicts(plan, existing)) {
		if (operation !== "create" || existing.has(key)) continue;
		const what = `volume ${key} was missing; it is made anew, empty`;
		if (dataClass === "critical") output.warning(`${what}. To bring its data back: ${command("restore")}`);
		else output.progress(what);
	}
}

/** @throws StackError when a step of the plan is not one of the permitted; nothing is changed then. */
export function refuseSteps(
	context: VerbContext,
	plan: Plan,
	permitted: (step: Plan[number]) => boolean,
): void {
	const others = changes(plan).filter((step) => !permitted(step));
	if (others.length === 0) return;
	const lines = others.map(({ operation, name, differences }) => {
		const because = differences.map(({ property }) => property).join(", ");
		return `  ${operationWords[operation].plan} ${name.replace(/^stack-/, "")}${because ? ` (${because})` : ""}`;
	});
	throw new StackError(
		`the settings or sources have changed, and this verb applies no other change; nothing was done:\n${lines.join("\n")}`,
		{
			fix: `${context.command("preview")}, then ${context.command("up")}`,
		},
	);
}
