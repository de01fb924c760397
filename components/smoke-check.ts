import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { containerName, type StackIdentity } from "./identity.ts";
import { proxyPort } from "./proxy.ts";
import { script } from "./script.ts";

export interface SmokeCheckArgs {
	readonly identity: StackIdentity;
	readonly healthPath: string;
	/** Ids of the images; a change of one runs the check. */
	readonly images: readonly pulumi.Input<string>[];
}

/** Asks the application and the page through the proxy, as a user would, whenever an image has changed. */
export class SmokeCheck extends pulumi.ComponentResource {
	constructor(name: string, args: SmokeCheckArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:SmokeCheck", name, {}, opts);
		new command.local.Command(
			`${name}-run`,
			{
				create: script("smoke-check.sh"),
				environment: {
					PROXY: containerName(args.identity, "proxy"),
					ORIGIN: `http://127.0.0.1:${proxyPort}`,
					PATHS: `${args.healthPath} /`,
				},
				triggers: args.images.slice(),
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
