import { RunError } from "./run-error.ts";

/** A guard has stopped the run before anything was planned. */
export class GuardError extends RunError {
	override readonly name = "GuardError";
}
