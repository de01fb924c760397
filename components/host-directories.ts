import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { backendUser } from "./backend-runtime.ts";
import { script } from "./script.ts";

export interface HostDirectoriesArgs {
	/** Directories with their modes, octal. */
	readonly directories: readonly (readonly [path: string, mode: string])[];
	/** Directory that the backend's user must own. */
	readonly backendLogs: string;
	/** Image with a shell, in which root can change an owner without being root on the host. */
	readonly helperImage: pulumi.Input<string>;
}

/** The directories of the host that are mounted. They stay when the stack goes: backups are among them. */
export class HostDirectories extends pulumi.ComponentResource {
	readonly ready: command.local.Command;

	constructor(name: string, args: HostDirectoriesArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:host:HostDirectories", name, {}, opts);
		this.ready = new command.local.Command(
			`${name}-make`,
			{
				create: script("make-directories.sh"),
				environment: {
					DIRECTORIES: args.directories.map(([path, mode]) => `${mode} ${path}`).join("\n"),
					BACKEND_LOGS: args.backendLogs,
					BACKEND_USER: backendUser,
					HELPER_IMAGE: args.helperImage,
				},
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
