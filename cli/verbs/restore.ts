/** `stack restore`: a backup takes the place of what is there now, or everything stays as it is. */
import { join } from "node:path";
import { serviceNames } from "../../components/catalogue.ts";
import { apply, readyDocker } from "../apply.ts";
import { type Confirmation, confirm, requireAnswer } from "../confirm.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { stackContainers } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { hasUnfinishedRestore, settleRestore, withLock } from "../lock.ts";
import { duration, formatBytes } from "../output.ts";
import { type Checked, checkFile, countText, describeRestore } from "../restore/check.ts";
import { type RestoreChoice, readChoice } from "../restore/choose.ts";
import { findGround, type Ground } from "../restore/ground.ts";
import { fetchCopy } from "../restore/offsite.ts";
import { newRestoreId, type Restored, runRestore } from "../restore/run.ts";
import { withStores } from "../restore/writers.ts";

export async function restore(context: VerbContext, invocation: Invocation): Promise<void> {
	const { output, stack } = context;
	const { options } = invocation;
	const asked = await readChoice(context, invocation);
	const given = Boolean(options.yes) && context.globals.stack !== undefined;
	const dryRun = Boolean(options.dryRun);
	const unattended = `./docker-dev.sh -s ${stack} restore ${asked.typed}${asked.optionText} --yes`;
	const action = `restoring ${asked.typed === "--latest" ? "the latest backup" : asked.typed} into stack ${stack}`;
	const confirmation: Confirmation = { action, phrase: "yes", given, unattended };
	if (!dryRun) requireAnswer(context, confirmation);
	await readyDocker(context);
	if (dryRun) refuseUnfinished(context);
	else await settleRestore(context, "restore", { databaseMayBeLost: asked.rebuild });
	await requireContainers(context, { confirmation, dryRun });

	const { source } = asked;
	const choice = { ...asked, source: "copy" in source ? await fetchCopy(context, source) : source };
	const id = newRestoreId();
	const ground = await findGround(context);
	judgeDatabase(context, ground, choice);
	const withDatabase = !choice.rebuild && ground.database.state === "running";
	const checked = await checkFile(context, ground, choice, { id, withDatabase });
	const safetyBackup = choice.safetyBackup && !choice.rebuild;
	refuseLoss(choice, checked);
	const text = await describeRestore(context, ground, { ...choice, safetyBackup }, checked);
	const told = { ...fileAsJson(choice, checked), targets: checked.targets, redis: choice.redis };
	if (dryRun) {
		output.data(stack, { dryRun: true, ...told });
		output.result(text);
		return;
	}
	if (given) output.progress(`${text}\n`);
	else output.notice(`${text}\n`);
	// Asked outside the lock: a question that nobody answers must not keep the nightly backup waiting.
	await confirm(context, confirmation);
	const began = performance.now();
	const restored = await withLock(context, "restore", () =>
		withStores(context, { rebuild: choice.rebuild, safetyBackup }, async () => {
			if (!withDatabase && !choice.rebuild) await checkFile(context, ground, choice, { id });
			return await runRestore(context, { ...choice, id, safetyBackup, targets: checked.targets });
		}),
	);
	tellResult(context, choice, told, restored, (performance.now() - began) / 1000);
}

/** A dry run changes nothing, so it cannot put an earlier restore right. */
function refuseUnfinished(context: VerbContext): void {
	if (!hasUnfinishedRestore(context)) return;
	throw new StackError(
		"an earlier restore is unfinished, and has to be put right first; nothing was changed",
		{
			fix: context.command("start"),
		},
	);
}

/** Where there is no stack, it is brought up first: on a new host, or after everything was removed. */
async function requireContainers(
	context: VerbContext,
	{ confirmation, dryRun }: { confirmation: Confirmation; dryRun: boolean },
): Promise<void> {
	const { output, stack, command } = context;
	const containers = await stackContainers(stack, context.signal);
	const missing = serviceNames.filter((name) => !containers.some(({ service }) => service === name));
	if (missing.length === 0) return;
	if (dryRun || missing.length < serviceNames.length) {
		throw new StackError(`stack ${stack} has no container of ${missing.join(", ")}; nothing was changed`, {
			fix: command(missing.length < serviceNames.length ? "start" : "up"),
		});
	}
	const text = `Stack ${stack} has no containers on this host; it is brought up first.`;
	if (confirmation.given) output.progress(text);
	else output.notice(text);
	await confirm(context, { ...confirmation, action: `bringing up stack ${stack}` });
	await apply(context, { operation: "up", refresh: true });
}

/** @throws StackError when the database does not start and nobody said so, or the other way round. */
function judgeDatabase(context: VerbContext, { database }: Ground, choice: RestoreChoice): void {
	const { state, health, restarts, name } = database;
	// Docker calls the health of a stopped container what it was, or worse: it says nothing.
	const isIll = health === "unhealthy" || (restarts > 2 && health !== "healthy");
	const fails = state === "restarting" || (state === "running" && isIll);
	if (fails && !choice.rebuild) {
		throw new StackError(
			`the database (container ${name}) does not start, so nothing can be restored into it; nothing was changed`,
			{
				fix: `see why: ${context.command("logs db --tail 30")}. If its files are damaged: ${context.command(`restore ${choice.typed} --rebuild-database`)}`,
			},
		);
	}
	if (choice.rebuild && state === "running" && health === "healthy") {
		throw new StackError(
			`the database (container ${name}) runs and is healthy; --rebuild-database is for one that does not start, and nothing was changed`,
			{ exitCode: exitCodes.usage, fix: context.command(`restore ${choice.typed}`) },
		);
	}
}

/** Of a database that does not start no backup can be made, so files would be replaced without a way back. */
function refuseLoss({ rebuild, safetyBackup }: RestoreChoice, { targets }: Checked): void {
	const files = targets.filter((target) => target !== "database");
	if (!rebuild || !safetyBackup || files.length === 0) return;
	throw new StackError(
		`no safety backup can be made while the database does not start, so what is in ${files.join(" and ")} now would be replaced without a way back; nothing was changed`,
		{
			exitCode: exitCodes.usage,
			fix: "keep those as they are with --only database, or give them up with --no-safety-backup",
		},
	);
}

function fileAsJson({ source }: RestoreChoice, checked: Checked) {
	const { kind, origin, stack, createdAt, size, encrypted, verified, warnings } = checked;
	const file = { file: source.file, path: join(source.directory, source.file), kind, origin, createdAt };
	return { ...file, fromStack: stack, sizeBytes: size, encrypted, verified, warnings };
}

function tellResult(
	context: VerbContext,
	choice: RestoreChoice,
	told: ReturnType<typeof fileAsJson> & Pick<Checked, "targets">,
	restored: Restored,
	totalSeconds: number,
): void {
	const { output, stack, command } = context;
	const { safetyBackup, restarted, stopped, downtimeSeconds, seconds, damaged } = restored;
	const undo = safetyBackup && command(`restore ${safetyBackup.file}${undoOptions(choice, told.targets)}`);
	const { tables, rows, files } = restored;
	output.data(stack, {
		...told,
		...{ tables, rows, files, restarted, downtimeSeconds: downtimeSeconds ?? null, damaged: damaged ?? null },
		seconds: { total: totalSeconds, ...seconds },
		safetyBackup: safetyBackup?.path ?? null,
		undo: undo ?? null,
	});
	const down =
		downtimeSeconds === undefined ? "" : `; the application was away for ${duration(downtimeSeconds)}`;
	output.result(`Restored ${told.file}: ${countText(restored)}, in ${duration(totalSeconds)}${down}`);
	if (damaged) {
		output.result(
			`The damaged files are kept in ${damaged.path} of the volume, ${formatBytes(damaged.bytes)}. Remove them: ${command(`exec db rm -rf ${damaged.path}`)}`,
		);
	}
	const left = stopped.filter((service) => !restarted.includes(service));
	if (left.length > 0) output.result(`Not started again: ${left.join(", ")}. Start: ${command("start")}`);
	output.result(undo ? `Undo it: ${undo}` : "There is no safety backup to go back to.");
}

/** What the safety backup needs to bring back the same parts. */
function undoOptions({ only }: RestoreChoice, targets: Checked["targets"]): string {
	const whole = only === undefined && targets.includes("media");
	const databaseAlone = targets.every((target) => target === "database");
	const redis = targets.includes("redis") ? " --redis restore" : "";
	return whole || databaseAlone ? redis : ` --only ${targets.join(",")}`;
}
