import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { backendEnvironment, backendUser } from "./backend-runtime.ts";
import { labelKeys, ownerOf, type StackIdentity } from "./identity.ts";
import { script } from "./script.ts";
import type { Secrets } from "./secrets.ts";
import type { StackSettings } from "./settings.ts";

export interface MigrationsArgs {
	readonly identity: StackIdentity;
	readonly settings: StackSettings;
	/** Id of the new image; a change of it runs the migrations. */
	readonly image: pulumi.Input<string>;
	readonly dataNetwork: pulumi.Input<string>;
	readonly secrets: Secrets;
	/** Host directory of the source, as the backend has it in development. */
	readonly sourceDirectory?: string;
}

/**
 * Database migrations, run in a one-off container of the new image before the backend is replaced: when they
 * fail, the old backend keeps serving. Secrets go in by standard input, so no inspect and no argument has them.
 */
export class Migrations extends pulumi.ComponentResource {
	readonly done: command.local.Command;

	constructor(name: string, args: MigrationsArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Migrations", name, {}, opts);
		const environment = backendEnvironment(args.settings);
		this.done = new command.local.Command(
			`${name}-run`,
			{
				create: script("migrate.sh"),
				environment: {
					CONTAINER: `${args.identity.prefix}-migrate`,
					OWNER_LABEL: `${labelKeys.owner}=${ownerOf(args.identity.stack)}`,
					IMAGE: args.image,
					NETWORK: args.dataNetwork,
					BACKEND_USER: backendUser,
					SOURCE: args.sourceDirectory ?? "",
					VARIABLES: Object.entries(environment)
						.map(([key, value]) => `${key}=${value}`)
						.join("\n"),
					MIGRATE: args.settings.backendMigrateCommand,
					...args.secrets.values,
				},
				triggers: [args.image, args.settings.backendMigrateCommand],
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
