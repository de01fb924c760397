/** Child processes: their exit codes, what they say, and their end when the run ends. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { AgentError } from "./failure.ts";

export interface Running {
	readonly child: ChildProcess;
	/** Rejects unless the exit code is one of those accepted. */
	readonly exit: Promise<number>;
}

export interface ChildOptions {
	readonly env?: Readonly<Record<string, string>>;
	readonly stdio?: SpawnOptions["stdio"];
	readonly signal: AbortSignal;
	/** Exit codes that are no failure. @default [0] */
	readonly accept?: readonly number[];
	/** Takes the lines of stderr. @default they are kept for the error */
	readonly onLine?: (line: string) => void;
}

const keptCharacters = 4000;

/** Starts a program. Its last words are in the error when it fails. */
export function start(command: string, args: readonly string[], options: ChildOptions): Running {
	const child = spawn(command, args, {
		// A fixed language: messages are read.
		env: { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC", ...options.env },
		stdio: options.stdio ?? ["ignore", "pipe", "pipe"],
		signal: options.signal,
		killSignal: "SIGKILL",
	});
	let said = "";
	if (child.stderr) {
		readLines(child.stderr, (line) => {
			if (options.onLine) options.onLine(line);
			else said = `${said}${line}\n`.slice(-keptCharacters);
		});
	}
	const exit = new Promise<number>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signal) => {
			if (code !== null && (options.accept ?? [0]).includes(code)) resolve(code);
			else {
				const reason = said.trim() || (signal ? `it was ended by ${signal}` : `exit code ${code}`);
				reject(new AgentError(`${command} failed: ${reason}`));
			}
		});
	});
	// Whoever waits for it sees the failure; until then it is not unhandled.
	exit.catch(() => undefined);
	// A broken pipe follows from the end of the other side, whose exit code says why.
	child.stdin?.on("error", () => undefined);
	return { child, exit };
}

/** Output of a short command. */
export async function output(
	command: string,
	args: readonly string[],
	options: ChildOptions,
): Promise<string> {
	const { child, exit } = start(command, args, options);
	let text = "";
	child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
		text += chunk;
	});
	await exit;
	return text;
}

/** Gives each line; the last one too where it has no line end. */
function readLines(stream: Readable, take: (line: string) => void): void {
	let rest = "";
	stream.setEncoding("utf8");
	stream.on("data", (text: string) => {
		const lines = (rest + text).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) take(line);
	});
	stream.on("end", () => {
		if (rest) take(rest);
	});
}
