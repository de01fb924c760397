import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { imagesPath } from "../recovery/images-file.ts";
import { type AlarmAddresses, alarmAddressPaths, alarmPolicy } from "./alarm-policy.ts";
import { backupPolicy } from "./backup-policy.ts";
import { volumeEntry } from "./catalogue.ts";
import { databaseName, databaseUser, type StackIdentity } from "./identity.ts";
import { offsiteCredentialsPath, offsitePolicy } from "./offsite-policy.ts";
import { script } from "./script.ts";
import { type Secrets, secretPaths, secretUpload } from "./secrets.ts";
import { readOnlyVolume, ServiceContainer } from "./service-container.ts";
import type { StackSettings } from "./settings.ts";

export interface BackupArgs {
	readonly identity: StackIdentity;
	readonly settings: StackSettings;
	readonly image: pulumi.Input<string>;
	/** `name@id` of the stack's images, for the manifests. */
	readonly imageReferences: Readonly<Record<string, pulumi.Input<string>>>;
	readonly dataNetwork: pulumi.Input<string>;
	/** Network with a way out; absent where nothing is sent. */
	readonly egressNetwork?: pulumi.Input<string>;
	/** Real names of the volumes that are archived; they are mounted read-only. */
	readonly mediaVolume: pulumi.Input<string>;
	readonly staticVolume: pulumi.Input<string>;
	/** Host directory of the recovery points: the only thing that can be written. */
	readonly backupDirectory: string;
	readonly secrets: Secrets;
	/** Secrets. @default nobody is told of alarms */
	readonly alarmAddresses?: AlarmAddresses;
	/** Content of the offsite credentials file; absent where the agent has none. */
	readonly offsiteCredentials?: pulumi.Input<string>;
	readonly labels: Readonly<Record<string, string>>;
}

/**
 * The backup sidecar: its schedules, and the agent that every backup runs in. No Docker socket, and no way out of
 * the network `data` unless it has something to send or metrics to show. It begins as root to become the owner of the backup directory; of root's powers it keeps
 * the one to read files that only their owner may.
 */
export class Backup extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: BackupArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Backup", name, {}, opts);
		// In a file, not in the container's environment: there, a rebuilt image of another service would replace
		// this container.
		new command.local.Command(
			`${name}-images`,
			{
				create: script("record-images.sh"),
				environment: {
					RECORD: imagesPath(args.backupDirectory, args.identity.stack),
					IMAGES: pulumi.jsonStringify(args.imageReferences),
				},
			},
			{ parent: this },
		);
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "backup",
				image: args.image,
				networks: {
					data: args.dataNetwork,
					...(args.egressNetwork && { egress: args.egressNetwork }),
				},
				memoryMb: args.settings.backupMemoryMb,
				labels: args.labels,
				keepCapabilities: ["CAP_DAC_READ_SEARCH", "CAP_SETGID", "CAP_SETUID"],
				environment: {
					AGENT_CONFIG: JSON.stringify({
						...backupPolicy(args.identity.stack, args.settings),
						...alarmPolicy(args.settings),
						offsite: offsitePolicy(args.settings),
					}),
					DATABASE_HOST: "db",
					DATABASE_NAME: databaseName,
					DATABASE_USER: databaseUser,
					DATABASE_PASSWORD_FILE: secretPaths.databasePassword,
					REDIS_HOST: "redis",
					REDIS_PASSWORD_FILE: secretPaths.redisPassword,
				},
				uploads: [
					args.secrets.upload("databasePassword"),
					args.secrets.upload("redisPassword"),
					...(args.offsiteCredentials ? [secretUpload(offsiteCredentialsPath, args.offsiteCredentials)] : []),
					...addressUploads(args.alarmAddresses ?? {}),
				],
				ports: metricsPorts(args.settings.metricsPort),
				mounts: [
					{ type: "bind", source: args.backupDirectory, target: "/backups" },
					readOnlyVolume(args.mediaVolume, "/data/media"),
					readOnlyVolume(args.staticVolume, "/data/static"),
				],
				// The base image declares its data directory a volume: an anonymous one would be made for nothing.
				tmpfs: { "/tmp": "mode=1777", [volumeEntry("postgres-data").mountPath]: "size=64k" },
				// Unhealthy means that the newest recovery point is too old, which no up can wait for.
				healthcheck: {
					test: ["CMD", "agent", "health"],
					intervalSeconds: 60,
					timeoutSeconds: 30,
					retries: 2,
				},
				wait: false,
				stopSeconds: 30,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}

function addressUploads(addresses: AlarmAddresses) {
	return (Object.keys(alarmAddressPaths) as (keyof AlarmAddresses)[]).flatMap((target) => {
		const address = addresses[target];
		if (!address) return [];
		return [secretUpload(alarmAddressPaths[target], pulumi.secret(address))];
	});
}

/** On the host's loopback address only: what the metrics tell is nobody else's business. */
function metricsPorts(port: number) {
	return port > 0 ? [{ internal: port, external: port, ip: "127.0.0.1", protocol: "tcp" }] : undefined;
}
