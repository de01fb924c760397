import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { type EngineName, engineRecordFile } from "./engine-in-use.ts";
import { script } from "./script.ts";

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
