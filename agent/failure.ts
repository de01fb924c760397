/** Failures of the agent: each message says what happened, what was left as it was, and what mends it. */
import { WrongKeyError } from "../recovery/damaged-error.ts";

/** Exit codes, as the operator's commands have them (DESIGN.md section 8). */
export const exitCodes = {
	failed: 1,
	usage: 2,
	credentials: 4,
	invalid: 7,
	interrupted: 130,
	terminated: 143,
} as const;

/** A failure whose message is all there is to say. */
export class AgentError extends Error {
	override readonly name = "AgentError";
	readonly exitCode: number;

	constructor(message: string, exitCode: number = exitCodes.failed) {
		super(message);
		this.exitCode = exitCode;
	}
}

/** The message of any error, with what is known about those that the system or PostgreSQL gives. */
export function explain(error: unknown, backups: string): AgentError {
	if (error instanceof AgentError) return error;
	if (error instanceof WrongKeyError) return new AgentError(error.message, exitCodes.credentials);
	const { code, message = String(error) } = error as NodeJS.ErrnoException;
	if (code === "ENOSPC" || /No space left on device/i.test(message)) {
		return new AgentError(
			`the disk with ${backups} is full; no recovery point was made and the unfinished one was removed. Free space or lower the retention, then run the backup again`,
		);
	}
	if ((code === "EACCES" || code === "EPERM" || code === "EROFS") && message.includes(backups)) {
		return new AgentError(
			`the backup directory ${backups} cannot be written (${message}); nothing was changed. Give it to the user who runs the stack, mode 700`,
			exitCodes.credentials,
		);
	}
	if (code === "ENOENT" && message.includes(backups)) {
		return new AgentError(
			`the backup directory ${backups} does not exist (${message}); nothing was changed. Run up, which makes it`,
		);
	}
	return new AgentError(message);
}
