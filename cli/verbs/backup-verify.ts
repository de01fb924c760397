/** `stack backup verify`: reads recovery points from end to end. */
import { existsSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Progress } from "../../agent/progress.ts";
import { updateLatest } from "../../recovery/latest.ts";
import { parsePointName } from "../../recovery/names.ts";
import { listPoints, newestGoodFull } from "../../recovery/points.ts";
import { type VerifyResult, verifyPoint } from "../../recovery/verify.ts";
import { verifyAndRecord } from "../../recovery/verify-and-record.ts";
import { findSidecar, runAgent } from "../agent.ts";
import { AgentProgress } from "../agent-progress.ts";
import { type BackupFile, findBackupFile, identityFile } from "../backup-file.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { type ServiceContainer, stackContainers } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { verifyCopies } from "../offsite.ts";
import type { Output } from "../output.ts";
import { newestOf, ownership, readPoints } from "../recovery-points.ts";
import { checkApart, requireKey } from "../verify-apart.ts";

export type Checked = Pick<VerifyResult, "file" | "ok" | "how" | "problems" | "origin">;

export async function verify(
	context: VerbContext,
	{ arguments: names, options }: Invocation,
): Promise<number> {
	if (options.offsite) return await verifyOffsite(context, names, options);
	const { output, stack } = context;
	const targets = await chooseTargets(context, names, options);
	const identity = options.identity === undefined ? undefined : identityFile(String(options.identity));
	const checked: (Checked & { path: string })[] = [];
	for (const [directory, files] of Map.groupBy(targets, (target) => target.directory)) {
		const results = await checkBackups(
			context,
			directory,
			files.map(({ file }) => file),
			identity,
		);
		checked.push(...results.map((result) => ({ ...result, path: join(directory, result.file) })));
	}
	output.data(stack, { files: checked });
	const width = Math.max(...checked.map(({ file }) => file.length));
	for (const result of checked) output.result(resultText(result, output, width));
	if (checked.every(({ ok }) => ok)) return exitCodes.done;
	const newest = newestGoodFull(await readPoints(context), stack, new Date());
	output.progress(
		newest ? `Newest good full backup: ${newest.file}` : `Make a new one: ${context.command("backup")}`,
	);
	return exitCodes.backupInvalid;
}

/** The copies in the bucket, by their stored bytes. */
async function verifyOffsite(
	context: VerbContext,
	names: readonly string[],
	{ all, identity }: Invocation["options"],
): Promise<number> {
	const { output, stack } = context;
	if (identity !== undefined) {
		throw new StackError("--offsite checks stored bytes, which takes no key", {
			exitCode: exitCodes.usage,
			fix: `download it and read its content: ${context.command("restore --from offsite --latest --dry-run --identity FILE")}`,
		});
	}
	const checked = await verifyCopies(context, names, Boolean(all));
	output.data(stack, { files: checked });
	for (const { url, ok, problems } of checked) {
		const lines = problems.map((problem) => `\n          ${problem}`).join("");
		output.result(
			`${ok ? output.style("green", "good     ") : output.style(["red", "bold"], "DAMAGED  ")} ${url}${lines}`,
		);
	}
	return checked.every(({ ok }) => ok) ? exitCodes.done : exitCodes.backupInvalid;
}

/** What was found in one, naming the part that is damaged. */
export function resultText(
	{ file, ok, how, problems, origin }: Checked,
	output: Output,
	width = file.length,
): string {
	if (!ok) {
		const lines = problems.map((problem) => `          ${problem}`);
		return [`${output.style(["red", "bold"], "DAMAGED  ")} ${file}`, ...lines].join("\n");
	}
	const what =
		how === "bytes"
			? "its stored bytes are those that were written; --identity FILE reads the content too"
			: origin === "old-script"
				? "read from end to end; made by the old script, so there is no manifest to compare with"
				: "every part was read and is as its manifest says";
	return `${output.style("green", "good     ")} ${file.padEnd(width)}  ${what}`;
}

async function chooseTargets(
	context: VerbContext,
	names: readonly string[],
	{ latest, all }: Invocation["options"],
): Promise<BackupFile[]> {
	const asked = [names.length > 0 && "a FILE", latest && "--latest", all && "--all"].filter(Boolean);
	if (asked.length > 1) {
		throw new StackError(`${asked.join(" and ")} say different things`, {
			exitCode: exitCodes.usage,
			fix: "name files, or give one of --latest and --all",
		});
	}
	const directory = context.load().directories.backups;
	if (names.length > 0) return names.map((name) => findTarget(context, name));
	const points = await readPoints(context);
	const newest = newestOf(points, context.stack, new Date());
	const chosen = all
		? points.filter((point) => ownership(point, context.stack) !== "other")
		: newest
			? [newest]
			: [];
	if (chosen.length === 0) {
		throw new StackError(`there is no backup of stack ${context.stack} in ${directory}`, {
			fix: context.command("backup"),
		});
	}
	return chosen.map(({ file }) => ({ directory, file }));
}

/** @throws StackError when there is no such file, or its name is not a backup's. */
function findTarget(context: VerbContext, name: string): BackupFile {
	const found = findBackupFile(context, name);
	if (parsePointName(found.file)) return found;
	throw new StackError(`${join(found.directory, found.file)} does not have the name of a backup`, {
		exitCode: exitCodes.usage,
		fix: "such a name is full_backup_YYYYMMDD_HHMMSS.tar.gz or db_backup_YYYYMMDD_HHMMSS.sql",
	});
}

/**
 * In the backup container where it runs, else here. A private key never gets into the backup container, which
 * must not be able to decrypt: with one it is here, or in a container of its own without a network.
 */
export async function checkBackups(
	context: VerbContext,
	directory: string,
	files: readonly string[],
	identity: string | undefined,
): Promise<readonly Checked[]> {
	const container = await backupContainer(context);
	const source = container?.mounts.find(({ Destination }) => Destination === "/backups")?.Source;
	if (!identity && container?.state === "running" && source === directory) {
		const sidecar = await findSidecar(context);
		return (await runAgent<Checked[]>(context, sidecar, ["verify", ...files])).value;
	}
	const missing = missingTools(files, identity);
	const apart =
		missing.length > 0 && container && directory === context.load().directories.backups
			? container
			: undefined;
	const encrypted = files.filter((file) => parsePointName(file)?.encrypted);
	if (identity && (apart || missing.length === 0)) {
		await requireKey(context, { directory, files: encrypted, identity, image: apart?.imageId });
	}
	if (missing.length === 0) return await checkHere(context, directory, files, identity);
	if (apart) return await checkApart(context, apart, directory, files, identity);
	throw new StackError(
		`${missing.join(" and ")} ${missing.length > 1 ? "are" : "is"} needed to read ${files.join(", ")}, and not on this host`,
		{
			fix: `${context.command("start backup")}, whose container has it; or install ${missing.join(" and ")}`,
		},
	);
}

/** Undefined where there is none, or Docker cannot say. */
async function backupContainer({ stack, signal }: VerbContext): Promise<ServiceContainer | undefined> {
	try {
		return (await stackContainers(stack, signal)).find(({ service }) => service === "backup");
	} catch {
		signal.throwIfAborted();
		return undefined;
	}
}

/** Programs that reading these takes, and that are not here. */
function missingTools(files: readonly string[], identity: string | undefined): string[] {
	const names = files.map(parsePointName);
	const readable = names.filter((name) => name && (!name.encrypted || identity));
	const needed = [
		...(readable.some((name) => name?.encrypted) ? ["age"] : []),
		...(readable.some((name) => name?.compression === "zstd") ? ["zstd"] : []),
	];
	const path = (process.env.PATH ?? "").split(delimiter);
	return needed.filter((tool) => !path.some((place) => existsSync(join(place, tool))));
}

async function checkHere(
	context: VerbContext,
	directory: string,
	files: readonly string[],
	identity: string | undefined,
): Promise<Checked[]> {
	const { directories, settings } = context.load();
	const own = directory === directories.backups;
	const shown = new AgentProgress(context.output);
	const results: Checked[] = [];
	try {
		for (const file of files) {
			const progress = new Progress(
				shown.show.bind(shown),
				`reading ${file}`,
				statSync(join(directory, file)).size,
			);
			const options = {
				identity,
				signal: context.signal,
				onProgress: (bytes: number) => progress.set(bytes),
			};
			// A file elsewhere may be a copy on a medium of its own: nothing is written beside it.
			results.push(await (own ? verifyAndRecord : verifyPoint)(directory, file, options));
		}
	} catch (error) {
		if (context.signal.aborted) throw context.signal.reason;
		throw error;
	} finally {
		shown.end(results.length === files.length);
	}
	if (own) {
		const points = await listPoints(directory, settings.timeZone);
		await updateLatest(directory, points, context.stack, new Date());
	}
	return results;
}
