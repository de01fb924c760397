import { join } from "node:path";
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { script } from "./script.ts";

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

export interface EngineRecordArgs {
	readonly stateDirectory: string;
	readonly engine: EngineName;
}

/** Writes down which engine applied the stack, for the guard against the other one. */
export class EngineRecord extends pulumi.ComponentResource {
	constructor(name: string, args: EngineRecordArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:host:EngineRecord", name, {}, opts);
		new command.local.Command(
			`${name}-write`,
			{
				create: script("record-engine.sh"),
				delete: 'rm -f "$RECORD"',
				environment: { RECORD: engineRecordFile(args.stateDirectory), ENGINE: args.engine },
			},
			// A handover rewrites the file itself; the plan after it is to show nothing.
			{ parent: this, ignoreChanges: ["environment"] },
		);
		this.registerOutputs({});
	}
}
