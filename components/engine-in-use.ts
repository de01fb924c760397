/** Which engine runs the program, and which one applied a stack last. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The engines that can apply this program; each refuses a stack that the other has applied. */
export type EngineName = "local" | "pulumi";

/** Environment variable by which the local engine makes itself known to the program. */
export const engineVariable = "PERSISTENT_STACK_ENGINE";

/** The engine that runs this program. */
export function engineInUse(): EngineName {
	return process.env[engineVariable] === "local" ? "local" : "pulumi";
}

/** File in a stack's state directory that holds the name of the engine that applied it. */
export function engineRecordFile(stateDirectory: string): string {
	return join(stateDirectory, "applied-by");
}

/** The engine that applied the stack last; undefined before the first up and after a destroy. */
export function appliedBy(stateDirectory: string): EngineName | undefined {
	try {
		const name = readFileSync(engineRecordFile(stateDirectory), "utf8").trim();
		return name === "local" || name === "pulumi" ? name : undefined;
	} catch {
		return undefined;
	}
}

/** File in a stack's state directory that lies there while a handover is under way, and after one that was killed. */
export function handoverFile(stateDirectory: string): string {
	return join(stateDirectory, "handover.json");
}

/** Environment variable by which a handover lets the other engine look at the stack. */
export const handoverVariable = "PERSISTENT_STACK_HANDOVER";
