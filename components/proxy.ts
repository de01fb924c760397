import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { volumeEntry } from "./catalogue.ts";
import type { StackIdentity } from "./identity.ts";
import { nginxConfig } from "./nginx-config.ts";
import { readOnlyVolume, ServiceContainer } from "./service-container.ts";

/** Port at which nginx listens inside its container. */
export const proxyPort = 8080;

export interface ProxyArgs {
	readonly identity: StackIdentity;
	readonly image: pulumi.Input<string>;
	readonly edgeNetwork: pulumi.Input<string>;
	/** Real names of the volumes. */
	readonly mediaVolume: pulumi.Input<string>;
	readonly staticVolume: pulumi.Input<string>;
	readonly logVolume: pulumi.Input<string>;
	readonly bindAddress: string;
	readonly port: number;
	readonly maxUploadMb: number;
	/** `host:port` of the frontend. */
	readonly frontendAddress: string;
	readonly memoryMb: number;
	readonly labels: Readonly<Record<string, string>>;
}

/**
 * nginx: the only published port. Its configuration is part of the declaration, so a preview shows what
 * changes in it. The master runs as root with three capabilities, as its log files need; workers do not.
 */
export class ReverseProxy extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: ProxyArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Proxy", name, {}, opts);
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "proxy",
				image: args.image,
				networks: { edge: args.edgeNetwork },
				memoryMb: args.memoryMb,
				labels: args.labels,
				keepCapabilities: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"],
				command: ["sh", "-c", readFileSync(new URL("scripts/start-proxy.sh", import.meta.url), "utf8")],
				environment: {
					NGINX_CONF: nginxConfig({
						port: proxyPort,
						maxUploadMb: args.maxUploadMb,
						frontendAddress: args.frontendAddress,
					}),
				},
				mounts: [
					readOnlyVolume(args.mediaVolume, "/srv/media"),
					readOnlyVolume(args.staticVolume, "/srv/static"),
					{ type: "volume", source: args.logVolume, target: volumeEntry("proxy-logs").mountPath },
				],
				tmpfs: { "/tmp": "mode=1777" },
				ports: [{ internal: proxyPort, external: args.port, ip: args.bindAddress, protocol: "tcp" }],
				healthcheck: {
					test: ["CMD", "curl", "-fsS", "-o", "/dev/null", `http://127.0.0.1:${proxyPort}/proxy-healthz`],
					intervalSeconds: 2,
				},
				stopSignal: "SIGQUIT",
				stopSeconds: 30,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
