import * as pulumi from "@pulumi/pulumi";
import { volumeEntry } from "./catalogue.ts";
import type { StackIdentity } from "./identity.ts";
import { ServiceContainer } from "./service-container.ts";
import type { StackSettings } from "./settings.ts";

/** How the frontend runs in each mode: port, user and the probe that its image has at hand. */
const runtime = {
	development: {
		port: 5173,
		user: "1000:1000",
		probe: [
			"CMD",
			"node",
			"-e",
			'fetch("http://127.0.0.1:5173/").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))',
		],
	},
	production: {
		port: 8080,
		user: "101:101",
		probe: ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/healthz"],
	},
} as const;

export interface FrontendArgs {
	readonly identity: StackIdentity;
	readonly mode: StackSettings["mode"];
	readonly image: pulumi.Input<string>;
	readonly edgeNetwork: pulumi.Input<string>;
	/** Real name of the volume with the packages. */
	readonly modulesVolume: pulumi.Input<string>;
	/** Host directory of the source, bind-mounted over /app in development. */
	readonly sourceDirectory?: string;
	readonly memoryMb: number;
	readonly labels: Readonly<Record<string, string>>;
}

/** Where the proxy finds the frontend. */
export function frontendAddress(mode: StackSettings["mode"]): string {
	return `frontend:${runtime[mode].port}`;
}

/** The React page: Vite's server with reload in development, built files in production. */
export class Frontend extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: FrontendArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Frontend", name, {}, opts);
		const { user, probe } = runtime[args.mode];
		const modules = {
			type: "volume",
			source: args.modulesVolume,
			target: volumeEntry("frontend-node-modules").mountPath,
		};
		const source = args.sourceDirectory
			? [{ type: "bind", source: args.sourceDirectory, target: "/app", readOnly: true }]
			: [];
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "frontend",
				image: args.image,
				networks: { edge: args.edgeNetwork },
				memoryMb: args.memoryMb,
				labels: args.labels,
				user,
				mounts: args.mode === "development" ? [...source, modules] : [],
				tmpfs: { "/tmp": "mode=1777" },
				// The first start fills the volume with the packages, which takes a while.
				healthcheck: { test: probe, startPeriodSeconds: 120 },
				stopSeconds: 10,
				waitSeconds: 300,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
