import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import {
	backendEnvironment,
	backendLogMount,
	backendPort,
	backendSecrets,
	backendUser,
} from "./backend-runtime.ts";
import { volumeEntry } from "./catalogue.ts";
import type { StackIdentity } from "./identity.ts";
import type { Secrets } from "./secrets.ts";
import { ServiceContainer } from "./service-container.ts";
import type { StackSettings } from "./settings.ts";

export interface BackendArgs {
	readonly identity: StackIdentity;
	readonly settings: StackSettings;
	readonly image: pulumi.Input<string>;
	readonly edgeNetwork: pulumi.Input<string>;
	readonly dataNetwork: pulumi.Input<string>;
	/** Real names of the volumes. */
	readonly mediaVolume: pulumi.Input<string>;
	readonly staticVolume: pulumi.Input<string>;
	readonly secrets: Secrets;
	/** Host directory of the source, bind-mounted over /app in development. */
	readonly sourceDirectory?: string;
	/** Host directory of the log files. */
	readonly logDirectory: string;
	readonly labels: Readonly<Record<string, string>>;
}

/** The Django application under gunicorn, or a team's own. */
export class Backend extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: BackendArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Backend", name, {}, opts);
		const mounts: docker.types.input.ContainerMount[] = [
			{ type: "volume", source: args.mediaVolume, target: volumeEntry("backend-media").mountPath },
			{ type: "volume", source: args.staticVolume, target: volumeEntry("backend-static").mountPath },
			{ type: "bind", source: args.logDirectory, target: backendLogMount },
		];
		if (args.sourceDirectory) mounts.unshift({ type: "bind", source: args.sourceDirectory, target: "/app" });
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "backend",
				image: args.image,
				networks: { edge: args.edgeNetwork, data: args.dataNetwork },
				memoryMb: args.settings.backendMemoryMb,
				labels: args.labels,
				user: backendUser,
				environment: backendEnvironment(args.settings),
				uploads: backendSecrets.map((secret) => args.secrets.upload(secret)),
				mounts,
				tmpfs: { "/tmp": "mode=1777" },
				healthcheck: {
					test: ["CMD", "python3", "-c", healthProbe(args.settings.backendHealthPath)],
					timeoutSeconds: 10,
					startPeriodSeconds: 60,
				},
				stopSeconds: 40,
				waitSeconds: 180,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}

/** Asks the application itself; `urlopen` raises on anything but success. */
function healthProbe(path: string): string {
	return `import urllib.request; urllib.request.urlopen("http://127.0.0.1:${backendPort}${path}", timeout=8)`;
}
