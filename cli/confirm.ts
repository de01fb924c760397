/** Questions before what cannot be undone. Piped input is never an answer, and silence is a refusal. */
import { createInterface } from "node:readline";
import type { VerbContext } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";

/** What clean-all wants typed. */
export const deletionPhrase = "DELETE EVERYTHING";

export interface Confirmation {
	/** What is about to happen, as the refusal names it: "destroying stack dev". */
	readonly action: string;
	/** What has to be typed, exactly. @default `y` or `yes`, in either case; anything else is no */
	readonly phrase?: string;
	/** Whether an option has answered already. */
	readonly given: boolean;
	/** The command line that needs no answer. */
	readonly unattended: string;
}

/**
 * Asks at a terminal. No answer is ever assumed: a bare return, silence and the end of input are all no.
 *
 * @throws StackError with exit code 2 where there is no terminal to ask at, 3 for any other answer.
 */
export async function confirm(context: VerbContext, confirmation: Confirmation): Promise<void> {
	requireAnswer(context, confirmation);
	const { action, phrase, given } = confirmation;
	if (given) return;
	const question = phrase === undefined ? "Go on? [y/N] " : `Type '${phrase}' to confirm: `;
	const answer = await ask(question, context.signal);
	if (answer !== undefined && (phrase === undefined ? /^y(es)?$/i.test(answer) : answer === phrase)) return;
	const reason =
		answer === undefined
			? "no answer"
			: phrase === undefined
				? "the answer was no"
				: "that was another answer";
	throw new StackError(`${action} was declined (${reason}); nothing was changed`, {
		exitCode: exitCodes.declined,
	});
}

/**
 * For verbs that have much to find out before they ask: ends them at once where nobody could answer.
 *
 * @throws StackError with exit code 2.
 */
export function requireAnswer(
	context: Pick<VerbContext, "globals">,
	{ action, given, unattended }: Confirmation,
): void {
	if (given || canAsk(context)) return;
	throw new StackError(
		`${action} needs a confirmation, and there is no terminal to ask at; nothing was changed`,
		{ exitCode: exitCodes.usage, fix: unattended },
	);
}

export function canAsk({ globals }: Pick<VerbContext, "globals">): boolean {
	return globals.input !== false && Boolean(process.stdin.isTTY && process.stderr.isTTY) && !process.env.CI;
}

/** One line from the terminal; undefined at the end of input. */
function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
	const terminal = createInterface({ input: process.stdin, output: process.stderr });
	return new Promise<string | undefined>((answered, interrupted) => {
		// readline takes the terminal's Ctrl-C to itself; this gives it back to the program.
		terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
		signal.addEventListener("abort", () => interrupted(signal.reason), { once: true });
		let replied = false;
		terminal.once("close", () => {
			// The cursor is still behind the question.
			if (!replied) process.stderr.write("\n");
			answered(undefined);
		});
		terminal.question(question, (answer) => {
			replied = true;
			answered(answer);
		});
	}).finally(() => terminal.close());
}
