import * as pulumi from "@pulumi/pulumi";
import { volumeEntry } from "./catalogue.ts";
import type { StackIdentity } from "./identity.ts";
import { type Secrets, secretPaths } from "./secrets.ts";
import { ServiceContainer } from "./service-container.ts";

export interface CacheArgs {
	readonly identity: StackIdentity;
	readonly image: pulumi.Input<string>;
	readonly dataNetwork: pulumi.Input<string>;
	/** Real name of the volume with the data. */
	readonly volume: pulumi.Input<string>;
	readonly secrets: Secrets;
	readonly memoryMb: number;
	readonly labels: Readonly<Record<string, string>>;
}

const configPath = "/usr/local/etc/redis/redis.conf";

/** Redis 8 with its append-only file on a volume: sessions, cache and queue survive a restart. */
export class Cache extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: CacheArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Cache", name, {}, opts);
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "redis",
				image: args.image,
				networks: { data: args.dataNetwork },
				memoryMb: args.memoryMb,
				labels: args.labels,
				user: "999:999",
				command: ["redis-server", configPath],
				uploads: [
					args.secrets.upload("redisPassword"),
					{ file: configPath, content: redisConfig(args), permissions: "0444" },
				],
				mounts: [{ type: "volume", source: args.volume, target: volumeEntry("redis-data").mountPath }],
				healthcheck: {
					test: [
						"CMD-SHELL",
						`REDISCLI_AUTH="$(cat ${secretPaths.redisPassword})" redis-cli ping | grep -q PONG`,
					],
					intervalSeconds: 2,
					startPeriodSeconds: 60,
				},
				stopSeconds: 30,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}

/** A quarter of the container's memory is left to the copy-on-write of a snapshot and to buffers. */
function redisConfig(args: CacheArgs): pulumi.Output<string> {
	return pulumi.interpolate`dir ${volumeEntry("redis-data").mountPath}
requirepass ${args.secrets.values.redisPassword}
appendonly yes
appendfsync everysec
maxmemory ${Math.floor(args.memoryMb * 0.75)}mb
maxmemory-policy volatile-lru
repl-diskless-sync-delay 0
`;
}
