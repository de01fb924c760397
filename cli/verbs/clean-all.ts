/** `stack clean-all`: everything of the stack on this host, after its phrase and a safety backup. Not the backups. */
import { appliedBy } from "../../components/engine-in-use.ts";
import type { Engine, Plan } from "../../engine/engine.ts";
import { openStackEngine } from "../apply.ts";
import { type Backups, lookAtBackups } from "../backup-status.ts";
import { confirm, deletionPhrase, requireAnswer } from "../confirm.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { requireDocker, stackContainers } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { withLock } from "../lock.ts";
import { type MadeBackup, safetyBackup } from "../make-backup.ts";
import { count, formatBytes, type Output } from "../output.ts";
import { changes } from "../plan.ts";
import { ageOf, verifiedWord } from "../recovery-points.ts";
import {
	findRemoval,
	isNothing,
	type Removal,
	type RemovalRequest,
	removalAsJson,
	removalTable,
	remove,
} from "../removal.ts";
import { startContainers, stopContainers } from "../services.ts";
import { destroyAsShown, rehearseDestroy } from "../teardown.ts";
import { findStackVolumes, measureVolumes } from "../volumes.ts";

const everything: RemovalRequest = { containers: "all", networks: true, volumes: () => true, logs: true };

/** What there is to delete, and what could bring it back. */
interface Survey {
	readonly removal: Removal;
	/** KiB of each volume by its name. */
	readonly sizes: ReadonlyMap<string, number>;
	/** None where no engine has anything of the stack: its destroy may have kept the volumes. */
	readonly engine: Engine | undefined;
	readonly plan: Plan;
	readonly backups: Backups;
	readonly safety: { readonly wanted: boolean; readonly databaseRuns: boolean };
}

export async function cleanAll(context: VerbContext, { options }: Invocation): Promise<void> {
	const { output, stack } = context;
	const dryRun = Boolean(options.dryRun);
	const confirmation = {
		action: `deleting everything of stack ${stack}${options.yes ? ", for which --yes is not enough," : ""}`,
		phrase: deletionPhrase,
		given: isConfirmed(context, options.confirm),
		unattended: `./docker-dev.sh -s ${stack} clean-all --confirm "${deletionPhrase}"`,
	};
	refuseProtected(context);
	if (!dryRun) requireAnswer(context, confirmation);
	const found = await survey(context, options.safetyBackup !== false);
	const { removal, sizes, plan, backups } = found;
	const told = { dryRun, ...removalAsJson(removal, sizes), backups: backups.directory };
	if (isNothing(removal) && changes(plan).length === 0) {
		output.data(stack, told);
		output.result(`Nothing to remove: stack ${stack} has nothing on this host.`);
		output.result(keptBackups(context, backups));
		return;
	}
	const text = warningText(context, found);
	if (dryRun) {
		output.data(stack, { ...told, safetyBackupFirst: isBackedUp(found) });
		output.result(text);
		return;
	}
	// Whoever is asked must see what about, also with --quiet.
	if (confirmation.given) output.progress(`${text}\n`);
	else output.notice(`${text}\n`);
	// Asked outside the lock: a question that nobody answers must not keep the nightly backup waiting.
	await confirm(context, confirmation);
	const made = await withLock(context, "clean-all", () => deleteEverything(context, found), {
		databaseMayBeLost: true,
	});
	const newest = made?.file ?? backups.state?.newest?.file;
	const restore = newest === undefined ? undefined : context.command(`restore ${newest}`);
	output.data(stack, { ...told, safetyBackup: made ?? null, restore: restore ?? null });
	output.result(`Everything of stack ${stack} on this host is deleted.`);
	output.result(keptBackups(context, backups));
	if (restore) output.result(`Bring the data back:  ${restore}`);
	output.result(`Begin anew, empty:    ${context.command("up")}`);
}

async function survey(context: VerbContext, wanted: boolean): Promise<Survey> {
	await requireDocker(context.signal);
	const removal = await findRemoval(context, everything);
	const engine = appliedBy(context.load().directories.state) ? await openStackEngine(context) : undefined;
	const plan = engine ? await rehearseDestroy(context, engine, await findStackVolumes(context)) : [];
	const [backups, sizes, databaseRuns] = await Promise.all([
		lookAtBackups(context),
		measureVolumes(context, removal.volumes),
		isDatabaseRunning(context),
	]);
	return { removal, sizes, engine, plan, backups, safety: { wanted, databaseRuns } };
}

function isBackedUp({ safety }: Survey): boolean {
	return safety.wanted && safety.databaseRuns;
}

function warningText(context: VerbContext, found: Survey): string {
	const { output, stack } = context;
	return [
		banner(`This deletes ALL DATA of stack ${stack}: database, uploads, cache, logs`, output),
		removalTable(context, found.removal, found.sizes, output),
		[
			newestBackup(found.backups, output),
			safetyText(context, found, output),
			keptBackups(context, found.backups),
		].join("\n"),
	].join("\n\n");
}

/** @returns the safety backup, where one was made. */
async function deleteEverything(context: VerbContext, found: Survey): Promise<MadeBackup | undefined> {
	// A stranger may have come since: better refused now than half way.
	await findRemoval(context, everything);
	const made = isBackedUp(found) ? await backUp(context) : undefined;
	try {
		if (found.engine) await destroyAsShown(context, found.engine, found.plan);
		await remove(context, await findRemoval(context, everything));
	} catch (error) {
		const kept = made ? ` The safety backup is ${made.path}` : "";
		context.output.notice(`Not everything is deleted; the same command goes on from there.${kept}`);
		throw error;
	}
	return made;
}

/**
 * Whether the phrase was given as an option, which counts only where the stack is named.
 *
 * @throws StackError with exit code 2 when it is another phrase.
 */
function isConfirmed({ globals, stack }: VerbContext, phrase: unknown): boolean {
	if (phrase === undefined) return false;
	if (phrase !== deletionPhrase) {
		throw new StackError(`--confirm ${JSON.stringify(phrase)} is not the phrase; nothing was changed`, {
			exitCode: exitCodes.usage,
			fix: `./docker-dev.sh -s ${stack} clean-all --confirm "${deletionPhrase}"`,
		});
	}
	return globals.stack !== undefined;
}

function refuseProtected({ stack, load, command }: VerbContext): void {
	if (load().settings.removalPolicy !== "protect") return;
	throw new StackError(`stack ${stack} is protected (removalPolicy: protect); nothing was deleted`, {
		fix: `to lift the protection, set removalPolicy: retain or remove in Pulumi.${stack}.yaml and ${command("up")}, then the same command again`,
	});
}

async function isDatabaseRunning({ stack, signal }: VerbContext): Promise<boolean> {
	const containers = await stackContainers(stack, signal);
	return containers.some(({ service, state }) => service === "db" && state === "running");
}

/** The backend is stopped first, so that the backup holds the last that was written. */
async function backUp(context: VerbContext): Promise<MadeBackup> {
	const { output, stack, signal } = context;
	const writers = (await stackContainers(stack, signal)).filter(
		({ service, state }) => service === "backend" && state === "running",
	);
	await stopContainers(writers, output, signal);
	try {
		return await safetyBackup(context, "full", {
			name: "safety backup",
			before: "clean-all",
			untouched: "nothing was deleted",
			skip: context.command("clean-all --no-safety-backup"),
		});
	} catch (error) {
		// Also after Ctrl-C.
		const stopped = writers.map((container) => ({ ...container, state: "exited" }));
		await startContainers(stopped, output, new AbortController().signal);
		throw error;
	}
}

function banner(text: string, output: Output): string {
	const line = "═".repeat(text.length + 13);
	return [`╔${line}╗`, `║  WARNING: ${text}  ║`, `╚${line}╝`]
		.map((row) => output.style(["red", "bold"], row))
		.join("\n");
}

function newestBackup({ state, unknown }: Backups, output: Output): string {
	const newest = state?.newest;
	if (newest) {
		return `Newest verified backup: ${newest.file}, ${ageOf(newest)} old, ${formatBytes(newest.size)}, verified (${verifiedWord(newest)})`;
	}
	const why = unknown ? `: ${unknown}` : "";
	return output.style(["red", "bold"], `There is NO verified full backup of this stack${why}`);
}

function safetyText({ command }: VerbContext, found: Survey, output: Output): string {
	if (isBackedUp(found)) return "A safety backup is made first; if that fails, nothing is deleted.";
	const why = found.safety.wanted
		? `the database does not run. To have one: ${command("start")}, then the same command again`
		: "--no-safety-backup was given";
	return output.style(["red", "bold"], `NO safety backup is made: ${why}`);
}

function keptBackups({ stack }: VerbContext, { directory, state }: Backups): string {
	const own = state?.points.filter((point) => point.stack === stack).length ?? 0;
	return `Backups are never deleted: ${own > 0 ? `${count(own, "backup")} in ${directory}` : directory}, and those offsite, stay.`;
}
