/**
 * The one-shot containers that do the work of a restore. They are of the backup image and have no Docker socket.
 * Those that change something are detached: they outlive a command that is killed, and are found by label.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { volumeEntry } from "../../components/catalogue.ts";
import { labelKeys, ownerOf } from "../../components/identity.ts";
import type { RedisChoice, RestoreJournal, RestoreTarget } from "../../recovery/restore-journal.ts";
import {
	type AgentEnd,
	type AgentOutcome,
	followAgent,
	mountPoint,
	readOutcome,
	sharedCode,
} from "../agent.ts";
import type { BackupFile } from "../backup-file.ts";
import { hostWords } from "../backup-status.ts";
import type { VerbContext } from "../context.ts";
import { docker } from "../docker.ts";
import { StackError } from "../errors.ts";
import type { Ground } from "./ground.ts";

/** Label of everything that a restore makes; its value is the restore's id. */
export const restoreLabel = "persistent-stack.restore";
/** Label of the step that a container does. */
export const stepLabel = "persistent-stack.restore-step";

/** Where a helper has the directory of the archive, and the key. */
const sourceMount = "/source";
const keyMount = "/run/identity";

/** Seconds that a step has to tidy up after it was asked to end. */
const tidySeconds = 60;

/** What is kept of root's powers: owners, modes and devices of restored files are set, and files of anybody read. */
const capabilities = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD"];

export type RestoreStep = "check" | "stage" | "rebuild" | "swap" | "undo" | "finish";

export interface HelperRequest {
	readonly step: RestoreStep;
	readonly id: string;
	/** Operands and options after the step; a file by `sourcePath`. */
	readonly args: readonly string[];
	/** Volumes that it gets, to write to; in a check, and that of the database when staging, to read only. */
	readonly targets: readonly RestoreTarget[];
	/** The archive; its directory is mounted. */
	readonly source?: BackupFile;
	/** Private key on the host. */
	readonly identity?: string;
}

/** The archive as a helper sees it. */
export function sourcePath({ file }: BackupFile): string {
	return `${sourceMount}/${file}`;
}

/** The parts as options of a step. */
export function partOptions(targets: readonly RestoreTarget[], redis: RedisChoice): string[] {
	return [...targets.flatMap((target) => ["--only", target]), "--redis", redis];
}

/**
 * A step of a restore that has begun; what it is about stands in the journal. Volumes of files are mounted where
 * they are replaced. That of the database is written to only where another cluster takes its place: all else
 * goes through the server.
 */
export function stepRequest(
	{ id, targets, rebuild = false }: Pick<RestoreJournal, "id" | "targets" | "rebuild">,
	step: RestoreStep,
): HelperRequest {
	const files = targets.filter((target) => target !== "database");
	const isMounted = rebuild ? step !== "swap" : step === "stage";
	const database: readonly RestoreTarget[] = isMounted && targets.includes("database") ? ["database"] : [];
	return { step, id, args: [], targets: step === "rebuild" ? database : [...files, ...database] };
}

/**
 * Runs a step to its end, with its progress shown.
 *
 * Ctrl-C ends a check, asks `stage` to tidy up, and is not heard by the others, which must not stop half way.
 *
 * @param prepared a container that was made for it before.
 * @throws StackError with the step's own message; the abort's reason when a step was ended by it.
 */
export async function runStep<T>(
	context: VerbContext,
	ground: Ground,
	request: HelperRequest,
	prepared?: string,
): Promise<AgentOutcome<T>> {
	const { signal } = context;
	const interruptible = request.step === "check" || request.step === "stage";
	if (interruptible) signal.throwIfAborted();
	const id = prepared ?? (await prepareStep(context, ground, request));
	try {
		const end = await followHelper(context, ground, request, id);
		if (interruptible && signal.aborted) throw signal.reason;
		const outcome = readOutcome<T>(end);
		if (outcome) return outcome;
		throw explain(context, ground, request, end);
	} finally {
		await removeContainers([id]);
	}
}

/** Follows a step that runs already, or runs by now. */
async function followHelper(
	context: VerbContext,
	ground: Ground,
	{ step, source }: Pick<HelperRequest, "step" | "source">,
	id: string,
): Promise<AgentEnd> {
	const translate = (text: string) => onHost(context, ground, source, text);
	if (step === "check")
		return await followAgent(context, ["start", "--attach", "--interactive", id], { translate });
	await docker(["start", id]);
	const ended = exitCodeOf(id);
	// Whoever asks for it sees the failure.
	ended.catch(() => undefined);
	const end = () => void docker(["stop", "--time", String(tidySeconds), id]).catch(() => undefined);
	return await followAgent(context, ["logs", "--follow", id], {
		translate,
		interrupt: step === "stage" ? end : () => undefined,
		exitCode: () => ended,
	});
}

/** Waits for a container's end. */
async function exitCodeOf(id: string): Promise<number> {
	return Number((await docker(["wait", id])).trim());
}

/** Makes the container, with the secrets in it; it is not started. */
export async function prepareStep(
	context: VerbContext,
	ground: Ground,
	request: HelperRequest,
): Promise<string> {
	const { step, id, args, targets, source, identity } = request;
	const readOnly = step === "check" ? ",readonly" : "";
	const mounts = targets.map((target) => {
		const volume = ground.volumes.get(target);
		const looksOnly = target === "database" && step === "stage" ? ",readonly" : readOnly;
		if (volume?.found)
			return `type=volume,source=${volume.name},target=/targets/${target},volume-nocopy${looksOnly}`;
		throw new StackError(`volume ${volume?.name ?? target} does not exist; nothing was changed`, {
			fix: context.command("start"),
		});
	});
	if (source) mounts.push(`type=bind,source=${source.directory},target=${sourceMount},readonly`);
	if (identity) mounts.push(`type=bind,source=${identity},target=${keyMount},readonly`);
	const created = await docker([
		...["create", "--init", "--name", `${context.load().identity.prefix}-restore-${step}-${id}`],
		// A check is not in the journal: when its command is killed, nobody but Docker removes it.
		...(step === "check" ? ["--interactive", "--rm"] : []),
		...["--label", `${labelKeys.owner}=${ownerOf(context.stack)}`],
		...["--label", `${restoreLabel}=${id}`, "--label", `${stepLabel}=${step}`],
		...["--network", ground.network, "--user", "0:0", "--log-driver", "json-file"],
		...["--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
		...capabilities.flatMap((capability) => ["--cap-add", capability]),
		// The base image declares its data directory a volume: an anonymous one would be made for nothing.
		...["--tmpfs", "/tmp:mode=1777", "--tmpfs", `${volumeEntry("postgres-data").mountPath}:size=64k`],
		...["--mount", `type=bind,source=${ground.directory},target=${mountPoint}${readOnly}`],
		...mounts.flatMap((mount) => ["--mount", mount]),
		...ground.environment.flatMap((variable) => ["--env", variable]),
		...[ground.backup.imageId, "restore", step, ...args],
		...(step === "check" ? ["--with-stdin"] : ["--id", id]),
		...(identity ? ["--identity", keyMount] : []),
		"--json",
	]);
	const container = created.trim();
	try {
		await copySecrets(ground.backup.id, container);
	} catch (error) {
		await removeContainers([container]);
		throw error;
	}
	return container;
}

/** As a stream between two containers, of which neither has to run: no secret gets onto the host's disk. */
export async function copySecrets(from: string, to: string): Promise<void> {
	const script = 'set -e; docker cp "$1:/run/secrets" - | docker cp - "$2:/run"';
	await promisify(execFile)("sh", ["-c", script, "sh", from, to]);
}

/** Removes them; what is gone already, or is just going, is no failure. */
export async function removeContainers(ids: readonly string[]): Promise<void> {
	// One by one: what is said of one that is gone must not hide the failure of another.
	for (const id of ids) {
		await docker(["rm", "--force", "--volumes", id]).catch((error: Error) => {
			if (!/No such container|already in progress/.test(error.message)) throw error;
		});
	}
}

/** A container of a restore, as it was left. */
export interface FoundHelper {
	readonly id: string;
	readonly step: RestoreStep;
	readonly running: boolean;
}

/** The containers of a restore, running or not. */
export async function findHelpers(id: string): Promise<FoundHelper[]> {
	const format = `{{.ID}}\t{{.State}}\t{{.Label "${stepLabel}"}}`;
	const filters = ["--filter", `label=${restoreLabel}=${id}`, "--filter", `label=${stepLabel}`];
	const listed = await docker(["ps", "--all", ...filters, "--format", format]);
	return listed
		.split("\n")
		.filter(Boolean)
		.map((line) => line.split("\t"))
		.map(([found = "", state, step]) => ({
			id: found,
			step: step as RestoreStep,
			running: state === "running" || state === "paused",
		}));
}

/** Ends what can be ended at once, waits for what must not stop half way, then removes it. */
export async function settleHelpers(helpers: readonly FoundHelper[]): Promise<void> {
	for (const { id, step, running } of helpers) {
		if (!running) continue;
		if (step === "stage" || step === "check") await docker(["stop", "--time", String(tidySeconds), id]);
		await exitCodeOf(id);
	}
	await removeContainers(helpers.map(({ id }) => id));
}

/** A step's failure in the words of the host. */
function explain(
	context: VerbContext,
	ground: Ground,
	{ step, source }: HelperRequest,
	{ exitCode, failure, said }: AgentEnd,
): StackError {
	if (failure !== undefined) {
		return new StackError(onHost(context, ground, source, failure), { exitCode: sharedCode(exitCode) });
	}
	if (exitCode === 137) return new StackError(`the container of the step ${step} was killed`);
	const lines = said.split("\n");
	const reason = lines.find((line) => /error/i.test(line)) ?? lines[0];
	return new StackError(
		`the step ${step} could not be run in the backup image (exit code ${exitCode})${reason ? `: ${reason.trim()}` : ""}`,
		{ fix: `${context.command("up")} brings the image that fits this program` },
	);
}

function onHost(context: VerbContext, ground: Ground, source: BackupFile | undefined, text: string): string {
	const named = source ? text.replaceAll(sourcePath(source), join(source.directory, source.file)) : text;
	return hostWords(context.stack, ground.directory, named);
}
