/** Which exit code an error leads to, and what the operator is told of it. */
import { exitCodes } from "./errors.ts";

/** What each exit code means, for help and documentation. Verbs that run a command pass its code on. */
export const exitCodeMeanings: readonly (readonly [codes: string, meaning: string])[] = [
	["0", "done, also when there was nothing to do"],
	["1", "failed"],
	["2", "wrong usage or settings, or a confirmation missing where there is no terminal"],
	["3", "declined at a terminal"],
	["4", "credentials or permission"],
	["5", "Docker or Pulumi cannot be reached"],
	["6", "unhealthy after waiting"],
	["7", "invalid backup"],
	["130, 143", "ended by a signal"],
];

/** By name: the classes live in modules that a verb loads only when it needs them. */
const codesByName: Readonly<Record<string, number>> = {
	SettingsError: exitCodes.usage,
	UnreachableError: exitCodes.unreachable,
	UnhealthyError: exitCodes.unhealthy,
};

/** Ended by the operator's signal, not by a failure. */
export class InterruptedError extends Error {
	override readonly name = "InterruptedError";
	/** 128 and the number of the signal, as a shell has it. */
	readonly exitCode: number;

	constructor(signal: "SIGINT" | "SIGTERM") {
		super(signal === "SIGINT" ? "interrupted" : "terminated");
		this.exitCode = signal === "SIGINT" ? 130 : 143;
	}
}

export interface Failure {
	readonly message: string;
	/** What mends it. */
	readonly fix?: string;
	readonly exitCode: number;
}

/** The failure that an error of any kind amounts to. */
export function failureOf(error: unknown): Failure {
	if (!(error instanceof Error)) return { message: String(error), exitCode: exitCodes.failed };
	const { exitCode, fix, code } = error as Error & { exitCode?: number; fix?: string; code?: unknown };
	const known = typeof exitCode === "number" ? exitCode : codesByName[error.name];
	if (known !== undefined) return { message: error.message, fix, exitCode: known };
	if (code === "EACCES" || code === "EPERM")
		return { message: error.message, exitCode: exitCodes.permission };
	return { message: error.message, exitCode: exitCodes.failed };
}
