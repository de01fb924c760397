import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

/** Keys as a terminal sends them. */
export const keys = { enter: "\r", endOfInput: "\x04", interrupt: "\x03" } as const;

export interface Typing {
	/** What is waited for before anything is typed. */
	readonly question: RegExp;
	/** What is typed then, keys included. */
	readonly answer: string;
	readonly environment?: Record<string, string>;
}

/**
 * Runs a program at a pseudo-terminal of its own, as `script` of util-linux makes one, and types an answer.
 *
 * @returns its exit code and everything that the terminal showed.
 */
export async function atTerminal(
	command: readonly string[],
	{ question, answer, environment }: Typing,
): Promise<{ code: number; shown: string }> {
	const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
	// Where the tests run in CI a terminal counts as none.
	const { CI: _, ...inherited } = process.env;
	const child = spawn("script", ["--quiet", "--return", "--command", `exec ${line}`, "/dev/null"], {
		env: { ...inherited, NODE_OPTIONS: "", NO_COLOR: "1", TERM: "xterm", SHELL: "/bin/sh", ...environment },
		stdio: ["pipe", "pipe", "inherit"],
	});
	let shown = "";
	let ended = false;
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		shown += text;
	});
	child.stdin.on("error", () => {});
	const code = new Promise<number>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (exitCode) => {
			ended = true;
			resolve(exitCode ?? 1);
		});
	});
	const deadline = Date.now() + 60_000;
	// Without what moves the cursor, which may come behind the question.
	while (!question.test(stripVTControlCharacters(shown)) && !ended) {
		if (Date.now() > deadline) {
			child.kill();
			throw new Error(`waited a minute for ${question}; the terminal showed:\n${shown}`);
		}
		await sleep(20);
	}
	// Its end would be a key too; it stays open until the program has ended.
	if (!ended) child.stdin.write(answer);
	return { code: await code, shown };
}
