/** Ctrl-C and SIGTERM: the first ends the work in order, the second at once. */
import { InterruptedError } from "./failure.ts";
import type { Output } from "./output.ts";

/** Children that have the terminal: they get its Ctrl-C themselves and decide what it means. */
let foreground = 0;

/** Runs a child that has the terminal; signals of the terminal are its own affair meanwhile. */
export async function inForeground<T>(run: () => Promise<T>): Promise<T> {
	foreground++;
	try {
		return await run();
	} finally {
		foreground--;
	}
}

/** @returns a signal that is aborted, with an InterruptedError, when the operator wants the verb to end. */
export function watchSignals(output: Output): AbortSignal {
	const controller = new AbortController();
	for (const name of ["SIGINT", "SIGTERM"] as const) {
		process.on(name, () => {
			if (foreground > 0 && name === "SIGINT") return;
			const reason = new InterruptedError(name);
			// Locks are given back by their own exit handlers.
			if (controller.signal.aborted) process.exit(reason.exitCode);
			controller.abort(reason);
			const say = () => output.progress("Stopping after what is under way; Ctrl-C again stops at once.");
			// Most verbs end at once and need no explanation.
			setTimeout(say, 300).unref();
		});
	}
	return controller.signal;
}
