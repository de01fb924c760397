/** Runs a command of the agent in the stack's backup container, and shows its progress. */
import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { ProgressEvent } from "../agent/progress.ts";
import { lockTokenVariable } from "../recovery/lock.ts";
import { AgentProgress } from "./agent-progress.ts";
import { hostWords } from "./backup-status.ts";
import type { VerbContext } from "./context.ts";
import { docker, runningContainer, type ServiceContainer } from "./docker.ts";
import { type ExitCode, exitCodes, StackError } from "./errors.ts";

/** Where the container has the backup directory. */
export const mountPoint = "/backups";
/** Exit codes that the agent and this program have in common. */
const sharedCodes: readonly number[] = Object.values(exitCodes);

export interface Sidecar {
	readonly container: ServiceContainer;
	/** Directory of the host that the container writes to. */
	readonly directory: string;
}

export interface AgentOutcome<T> {
	/** 0, or 7 where a backup is damaged; every other end is thrown. */
	readonly exitCode: number;
	readonly value: T;
}

/**
 * The running backup container.
 *
 * @throws StackError when it does not run, or its backup directory is missing or cannot be written.
 */
export async function findSidecar(context: VerbContext): Promise<Sidecar> {
	const container = await runningContainer(context.stack, "backup");
	const mount = container.mounts.find(({ Destination }) => Destination === mountPoint);
	const directory = mount?.Source ?? context.load().directories.backups;
	requireDirectory(context, directory);
	return { container, directory };
}

/**
 * Runs it. Ctrl-C and the end of this program end it too: then nothing of it is left.
 *
 * @param onMade told the file of a recovery point as soon as it is complete.
 * @throws StackError with the agent's own message and exit code; InterruptedError after Ctrl-C.
 */
export async function runAgent<T>(
	context: VerbContext,
	sidecar: Sidecar,
	args: readonly string[],
	onMade?: FollowOptions["onMade"],
): Promise<AgentOutcome<T>> {
	const { container } = sidecar;
	// By its name: a value would be seen in the list of processes.
	const token = process.env[lockTokenVariable] ? ["--env", lockTokenVariable] : [];
	const command = ["exec", "--interactive", ...token, container.id, "agent", ...args];
	return await collect<T>(context, sidecar, [...command, "--json", "--with-stdin"], onMade);
}

/** As `runAgent`, for a docker command line that ends up in the agent. */
export async function collect<T>(
	context: VerbContext,
	sidecar: Sidecar,
	command: readonly string[],
	onMade?: FollowOptions["onMade"],
): Promise<AgentOutcome<T>> {
	const { signal } = context;
	signal.throwIfAborted();
	const translate = (text: string) => onHost(context, sidecar, text);
	const ended = await followAgent(context, command, { translate, onMade });
	if (signal.aborted) throw signal.reason;
	const outcome = readOutcome<T>(ended);
	if (outcome) return outcome;
	throw await explain(context, sidecar, ended);
}

/** How a run of the agent ended, and what it said. */
export interface AgentEnd {
	readonly exitCode: number;
	/** What it printed as its result. */
	readonly printed: string;
	/** Its own account of a failure; undefined where it gave none, as when it was killed. */
	readonly failure: string | undefined;
	/** What was said that is not of the agent: Docker's words, mostly. */
	readonly said: string;
}

export interface FollowOptions {
	/** From the words of the container to those of the host. */
	readonly translate: (text: string) => string;
	/** What the operator's Ctrl-C does. @default the run's input ends, and with it the run. */
	readonly interrupt?: () => void;
	/** How the run ended, where the docker command does not end as it does. */
	readonly exitCode?: () => Promise<number>;
	/** Told the file of a recovery point that is complete and stays, however the run goes on. */
	readonly onMade?: (file: string) => void;
}

/** Follows a docker command line that shows what an agent writes, to its end. */
export async function followAgent(
	{ signal, output }: VerbContext,
	command: readonly string[],
	{ translate, interrupt, exitCode: askExitCode, onMade }: FollowOptions,
): Promise<AgentEnd> {
	const progress = new AgentProgress(output, translate);
	// Its own group: a terminal's Ctrl-C must not take the client away from under a run that is tidying up.
	const child = spawn("docker", command, { stdio: ["pipe", "pipe", "pipe"], detached: true });
	// The run ends when its input ends, however this program ends.
	const end = interrupt ?? (() => child.stdin.end());
	signal.addEventListener("abort", end, { once: true });
	child.stdin.on("error", () => undefined);
	let printed = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		printed += text;
	});
	const said: string[] = [];
	let failure: string | undefined;
	createInterface({ input: child.stderr }).on("line", (line) => {
		const event = readEvent(line);
		if (!event) said.push(line);
		else if (event.event === "failed") failure = event.message;
		else if (event.event === "made") onMade?.(event.message ?? "");
		else progress.show(event);
	});
	try {
		const code = await new Promise<number>((done, fail) => {
			child.once("error", fail);
			child.once("close", (status) => done(status ?? exitCodes.failed));
		});
		const exitCode = askExitCode ? await askExitCode() : code;
		progress.end(exitCode === 0);
		return { exitCode, printed, failure, said: said.join("\n").trim() };
	} finally {
		progress.end(false);
		signal.removeEventListener("abort", end);
		child.stdin.end();
	}
}

/** The result of a run that ended as one with a result does; undefined for any other. */
export function readOutcome<T>({ exitCode, printed }: AgentEnd): AgentOutcome<T> | undefined {
	if (exitCode !== exitCodes.done && exitCode !== exitCodes.backupInvalid) return undefined;
	return printed.trim() === "" ? undefined : { exitCode, value: JSON.parse(printed) as T };
}

function readEvent(line: string): ProgressEvent | undefined {
	try {
		const value = JSON.parse(line) as ProgressEvent;
		return typeof value?.event === "string" ? value : undefined;
	} catch {
		return undefined;
	}
}

/** The agent's failure in the words of the host, with the command that mends it. */
async function explain(
	context: VerbContext,
	sidecar: Sidecar,
	{ exitCode, failure, said }: AgentEnd,
): Promise<StackError> {
	const { container, directory } = sidecar;
	if (failure === undefined) {
		const gone = exitCode === 137 || /not running|no such container|is paused/i.test(said);
		if (gone) {
			return new StackError(
				`the backup container ${container.name} was stopped in the middle of it; what it had not finished is swept by its next run`,
				{ fix: context.command("start backup") },
			);
		}
		const missing = exitCode === 126 || exitCode === 127;
		return new StackError(
			`the agent in ${container.name} could not be run (exit code ${exitCode})${said ? `: ${said}` : ""}`,
			{ fix: context.command(missing ? "up" : "logs backup --tail 50") },
		);
	}
	if (await replacedSince(sidecar)) return replaced(context, sidecar);
	const full = /\bthe disk with .* is (too )?full\b/.test(failure);
	const fix = full
		? `see what takes the space: df -h ${directory}, docker system df, ${context.command("backup prune --dry-run")}`
		: undefined;
	return new StackError(onHost(context, sidecar, failure), { exitCode: sharedCode(exitCode), fix });
}

/** The agent's exit code where this program has it too, else that something failed. */
export function sharedCode(exitCode: number): ExitCode {
	return sharedCodes.includes(exitCode) ? (exitCode as ExitCode) : exitCodes.failed;
}

/** A message from inside the container as it reads on the host: paths, names and commands. */
function onHost({ stack }: VerbContext, { container, directory }: Sidecar, text: string): string {
	const named = text.replaceAll(`@${container.id.slice(0, 12)} `, `@${container.name} `);
	return hostWords(stack, directory, named);
}

/** @throws StackError with the commands that make the directory usable. */
export function requireDirectory(context: VerbContext, directory: string): void {
	if (!existsSync(directory)) throw missingDirectory(context, directory);
	const mode = statSync(directory).mode & 0o777;
	if ((mode & 0o700) === 0o700) return;
	throw new StackError(
		`the backup directory ${directory} has mode ${mode.toString(8)}, so its owner cannot write to it; nothing was changed`,
		{ exitCode: exitCodes.permission, fix: `chmod 700 ${directory}` },
	);
}

function missingDirectory(context: VerbContext, directory: string): StackError {
	return new StackError(
		`the backup directory ${directory} is missing; nothing was changed. The backup container has to be restarted to see a new one`,
		{ fix: `mkdir -p ${directory} && chmod 700 ${directory} && ${context.command("restart backup")}` },
	);
}

/** Whether the container still has the directory that was at this path when it started. */
export async function replacedSince({ container, directory }: Sidecar): Promise<boolean> {
	if (!existsSync(directory)) return true;
	try {
		const inside = await docker(["exec", container.id, "stat", "-c", "%i", mountPoint]);
		return inside.trim() !== String(statSync(directory).ino);
	} catch {
		return false;
	}
}

function replaced(context: VerbContext, { container, directory }: Sidecar): StackError {
	if (!existsSync(directory)) return missingDirectory(context, directory);
	return new StackError(
		`the directory ${directory} was replaced since ${container.name} started, which still writes to the one before; nothing is in ${directory}`,
		{ fix: context.command("restart backup") },
	);
}

/** @throws StackError when the file that the agent has made is not where the host looks for it. */
export function requireArrived(context: VerbContext, sidecar: Sidecar, file: string): void {
	if (!existsSync(join(sidecar.directory, file))) throw replaced(context, sidecar);
}
