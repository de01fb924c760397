import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import type { AlarmAddresses } from "./alarm-policy.ts";
import { Backend } from "./backend.ts";
import { Backup } from "./backup.ts";
import type { BaseImages } from "./base-images.ts";
import { Cache } from "./cache.ts";
import type { VolumeKey } from "./catalogue.ts";
import { DataVolumes } from "./data-volumes.ts";
import { Database } from "./database.ts";
import { DestroyGuard } from "./destroy-guard.ts";
import { hostDirectories, programDirectory, type StackDirectories } from "./directories.ts";
import type { EngineName } from "./engine-in-use.ts";
import { EngineRecord } from "./engine-record.ts";
import { Frontend, frontendAddress } from "./frontend.ts";
import { HostDirectories } from "./host-directories.ts";
import type { StackIdentity } from "./identity.ts";
import { Images } from "./images.ts";
import { Migrations } from "./migrations.ts";
import { Networks, needsEgress } from "./networks.ts";
import { Offsite, type OffsiteOutputs } from "./offsite.ts";
import { ReverseProxy } from "./proxy.ts";
import { Secrets } from "./secrets.ts";
import { type StackSettings, splitAssignment } from "./settings.ts";
import { SmokeCheck } from "./smoke-check.ts";

export interface PersistentStackArgs {
	readonly identity: StackIdentity;
	readonly settings: StackSettings;
	readonly directories: StackDirectories;
	readonly baseImages: BaseImages;
	readonly engine: EngineName;
	/** Platform of the images, such as linux/amd64. */
	readonly platform: string;
	/** Secrets. @default nobody is told of alarms */
	readonly alarmAddresses?: AlarmAddresses;
	/** Volumes that this stack already owns, by catalogue key. */
	readonly existingVolumes?: Partial<Record<VolumeKey, string>>;
	/** Content of the offsite credentials file, where the settings name one. */
	readonly offsiteCredentials?: string | undefined;
}

/** The whole stack of one environment. */
export class PersistentStack extends pulumi.ComponentResource {
	/** Where the application answers. */
	readonly url: string;
	/** Real names of the volumes, by catalogue key. */
	readonly volumes: Readonly<Record<VolumeKey, pulumi.Output<string>>>;
	/** The offsite bucket and its policies; undefined where offsite is off. */
	readonly offsite: OffsiteOutputs | undefined;

	constructor(name: string, args: PersistentStackArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:index:PersistentStack", name, {}, opts);
		const { identity, settings, directories, baseImages } = args;
		const child = (dependsOn: pulumi.Resource[] = []): pulumi.ComponentResourceOptions => ({
			parent: this,
			dependsOn,
		});
		const labels = Object.fromEntries(settings.labels.map(splitAssignment));
		const development = settings.mode === "development";

		const record = new EngineRecord(
			`${name}-engine-record`,
			{ stateDirectory: directories.state, engine: args.engine },
			child(),
		);
		const volumes = new DataVolumes(
			`${name}-volumes`,
			{ identity, labels, removalPolicy: settings.removalPolicy, existing: args.existingVolumes },
			child([record]),
		);
		const networks = new Networks(
			`${name}-networks`,
			{ identity, labels, egress: needsEgress(settings) },
			child([record]),
		);
		const secrets = new Secrets(`${name}-secrets`, child());
		const images = new Images(
			`${name}-images`,
			{
				identity,
				platform: args.platform,
				base: baseImages,
				backend: settings.backendImage || {
					context: directories.backendContext,
					dockerfile: directories.backendDockerfile,
					args: { PYTHON_IMAGE: baseImages.images.python },
				},
				frontend: settings.frontendImage || {
					context: directories.frontendContext,
					dockerfile: directories.frontendDockerfile,
					target: settings.mode,
					args: { NODE_IMAGE: baseImages.images.node, NGINX_IMAGE: baseImages.images.nginx },
				},
				backup: {
					context: programDirectory,
					dockerfile: join(programDirectory, "images", "backup", "Dockerfile"),
					// The very image of the server: a dump tool that is older than it refuses to dump.
					args: {
						POSTGRES_IMAGE: baseImages.images.postgres,
						REDIS_IMAGE: baseImages.images.redis,
						NODE_IMAGE: baseImages.images.node,
					},
				},
			},
			child(),
		);
		const host = new HostDirectories(
			`${name}-host`,
			{
				directories: hostDirectories(directories, settings),
				backendLogs: directories.backendLogs,
				helperImage: images.ids.postgres,
			},
			child(),
		);

		const database = new Database(
			`${name}-db`,
			{
				identity,
				labels,
				image: images.ids.postgres,
				dataNetwork: networks.names.data,
				volume: volumes.names["postgres-data"],
				secrets,
				memoryMb: settings.dbMemoryMb,
			},
			child(),
		);
		const cache = new Cache(
			`${name}-redis`,
			{
				identity,
				labels,
				image: images.ids.redis,
				dataNetwork: networks.names.data,
				volume: volumes.names["redis-data"],
				secrets,
				memoryMb: settings.redisMemoryMb,
			},
			child(),
		);
		const backendSource = development && !settings.backendImage ? directories.backendContext : undefined;
		const migrations = new Migrations(
			`${name}-migrations`,
			{
				identity,
				settings,
				image: images.ids.backend,
				dataNetwork: networks.names.data,
				secrets,
				sourceDirectory: backendSource,
			},
			child([database, cache, host]),
		);
		const backend = new Backend(
			`${name}-backend`,
			{
				identity,
				settings,
				labels,
				image: images.ids.backend,
				edgeNetwork: networks.names.edge,
				dataNetwork: networks.names.data,
				mediaVolume: volumes.names["backend-media"],
				staticVolume: volumes.names["backend-static"],
				secrets,
				sourceDirectory: backendSource,
				logDirectory: directories.backendLogs,
			},
			child([migrations]),
		);
		const frontend = new Frontend(
			`${name}-frontend`,
			{
				identity,
				labels,
				mode: settings.mode,
				image: images.ids.frontend,
				edgeNetwork: networks.names.edge,
				modulesVolume: volumes.names["frontend-node-modules"],
				sourceDirectory: development && !settings.frontendImage ? directories.frontendContext : undefined,
				memoryMb: settings.frontendMemoryMb,
			},
			child([host]),
		);
		const proxy = new ReverseProxy(
			`${name}-proxy`,
			{
				identity,
				labels,
				image: images.ids.nginx,
				edgeNetwork: networks.names.edge,
				mediaVolume: volumes.names["backend-media"],
				staticVolume: volumes.names["backend-static"],
				logVolume: volumes.names["proxy-logs"],
				bindAddress: settings.bindAddress,
				port: settings.port,
				maxUploadMb: settings.maxUploadMb,
				frontendAddress: frontendAddress(settings.mode),
				memoryMb: settings.proxyMemoryMb,
			},
			child(),
		);
		const offsite = settings.offsite
			? new Offsite(
					`${name}-offsite`,
					{ identity, settings, labels, givenCredentials: args.offsiteCredentials },
					child([record]),
				)
			: undefined;
		const backup = new Backup(
			`${name}-backup`,
			{
				identity,
				settings,
				labels,
				image: images.ids.backup,
				imageReferences: images.references,
				dataNetwork: networks.names.data,
				egressNetwork: networks.names.egress,
				mediaVolume: volumes.names["backend-media"],
				staticVolume: volumes.names["backend-static"],
				backupDirectory: directories.backups,
				secrets,
				alarmAddresses: args.alarmAddresses,
				offsiteCredentials: offsite?.credentials,
			},
			child([database, cache, host, ...(offsite ? [offsite] : [])]),
		);
		const smokeCheck = new SmokeCheck(
			`${name}-smoke`,
			{
				identity,
				healthPath: settings.backendHealthPath,
				images: [images.ids.backend, images.ids.frontend, images.ids.nginx],
			},
			child([backend, frontend, proxy]),
		);
		// It must depend on whatever nothing else depends on: then everything outlives it.
		new DestroyGuard(
			`${name}-destroy-guard`,
			{ stack: identity.stack, removalPolicy: settings.removalPolicy },
			child([smokeCheck, backup]),
		);

		this.url = applicationUrl(settings);
		this.volumes = volumes.names;
		this.offsite = offsite?.outputs;
		this.registerOutputs({
			url: this.url,
			volumes: this.volumes,
			...(this.offsite && { offsite: this.offsite }),
		});
	}
}

/** Address for a browser on the host. */
export function applicationUrl({ bindAddress, port }: Pick<StackSettings, "bindAddress" | "port">): string {
	const host =
		bindAddress === "0.0.0.0" ? "127.0.0.1" : bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress;
	return `http://${host}:${port}`;
}
