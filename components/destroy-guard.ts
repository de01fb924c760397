import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { StackSettings } from "./settings.ts";

export interface DestroyGuardArgs {
	readonly stack: string;
	readonly removalPolicy: StackSettings["removalPolicy"];
}

/**
 * The first object that a destroy deletes, and under `protect` one that refuses to go.
 *
 * Protected volumes stop a destroy in its preview. With `--skip-preview` Pulumi keeps the volumes and deletes
 * everything else, measured; whatever this depends on stays until this is gone, so nothing is touched.
 */
export class DestroyGuard extends pulumi.ComponentResource {
	constructor(name: string, args: DestroyGuardArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:host:DestroyGuard", name, {}, opts);
		new command.local.Command(
			`${name}-check`,
			{
				create: ":",
				delete: args.removalPolicy === "protect" ? refusal(args.stack) : undefined,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}

function refusal(stack: string): string {
	return `echo "stack ${stack} is protected: nothing was deleted. To lift the protection, set removalPolicy: retain or remove in Pulumi.${stack}.yaml and run up, then try again." >&2; exit 1`;
}
