/** What follows a good local recovery point: its copy in the bucket. */
import { LockedError } from "../../recovery/lock.ts";
import type { RunContext } from "../recovery-point.ts";

/** How a recovery point that was made stands offsite. */
export interface OffsiteOutcome {
	readonly outcome: "success" | "failed" | "under way";
	readonly destination?: string;
	readonly message?: string;
	readonly uploaded: readonly string[];
	/** What is not there yet. */
	readonly waiting: readonly string[];
}

/**
 * Uploads what is missing. A failure does not undo the local recovery point: it is a warning, and stays in the
 * record until an upload succeeds.
 *
 * @returns undefined where the settings have no offsite destination.
 */
export async function copyOffsite(context: RunContext): Promise<OffsiteOutcome | undefined> {
	if (!context.config.offsite) return undefined;
	const nothing = { uploaded: [], waiting: [] };
	let copied: OffsiteOutcome;
	try {
		// The SDK takes time and memory, which a stack without a bucket need not spend.
		const { push } = await import("./push.ts");
		const { outcome, destination, message, uploaded, waiting } = await push(context);
		copied = { outcome, destination, message, uploaded, waiting };
	} catch (error) {
		const { message } = error as Error;
		const isUnderWay = error instanceof LockedError;
		copied = { outcome: isUnderWay ? "under way" : "failed", message, ...nothing };
	}
	const { outcome, message } = copied;
	if (outcome === "under way") {
		context.report({ event: "warning", message: `${message} It takes what was made now along` });
	} else if (outcome === "failed") {
		context.report({
			event: "warning",
			message: `not everything is offsite: ${message}. The agent tries again by itself; at once: ./docker-dev.sh backup push`,
		});
	}
	return copied;
}
