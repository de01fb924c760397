/** Exit codes of the command line; part of its contract with scripts. */
export const exitCodes = {
	done: 0,
	failed: 1,
	usage: 2,
	declined: 3,
	permission: 4,
	unreachable: 5,
	unhealthy: 6,
	backupInvalid: 7,
} as const;

/** One of the exit codes. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What an error tells besides its message. */
export interface StackErrorOptions extends ErrorOptions {
	/** @default 1, failed */
	exitCode?: ExitCode;
	/** The command that mends it, ready to be copied. @default none */
	fix?: string;
}

/** A failure that the operator is told without a stack trace: what happened, to what, and the way out. */
export class StackError extends Error {
	override name = "StackError";
	readonly exitCode: ExitCode;
	readonly fix: string | undefined;

	constructor(message: string, options: StackErrorOptions = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.exitCode = options.exitCode ?? exitCodes.failed;
		this.fix = options.fix;
	}
}
