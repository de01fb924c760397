import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { ServiceName } from "./catalogue.ts";
import {
	containerName,
	labelKeys,
	labelList,
	type NetworkName,
	ownerOf,
	type StackIdentity,
} from "./identity.ts";

/** Times of a healthcheck, in seconds, and its command. */
export interface Healthcheck {
	readonly test: readonly string[];
	/** @default 5 */
	readonly intervalSeconds?: number;
	/** @default 5 */
	readonly timeoutSeconds?: number;
	/** Failures that do not count while the service starts. @default 30 */
	readonly startPeriodSeconds?: number;
	/** @default 6 */
	readonly retries?: number;
}

/** A temporary file system: path and mount options. */
export type Tmpfs = Readonly<Record<string, string>>;

export interface ServiceContainerArgs {
	readonly identity: StackIdentity;
	readonly service: ServiceName;
	/** Image id, so that a rebuilt image replaces the container: a tag would keep the old one running. */
	readonly image: pulumi.Input<string>;
	/** Networks by their real names; the service's name is its alias on each. */
	readonly networks: Readonly<Partial<Record<NetworkName, pulumi.Input<string>>>>;
	readonly memoryMb: number;
	/** `uid:gid`. Absent: root, which then keeps only `keepCapabilities`. */
	readonly user?: string;
	readonly command?: readonly string[];
	readonly environment?: Readonly<Record<string, pulumi.Input<string>>>;
	/** Files put into the container; they need a writable root, so the root is read-only without them. */
	readonly uploads?: readonly docker.types.input.ContainerUpload[];
	readonly mounts?: readonly docker.types.input.ContainerMount[];
	readonly tmpfs?: Tmpfs;
	readonly ports?: readonly docker.types.input.ContainerPort[];
	readonly healthcheck: Healthcheck;
	/** Capabilities kept of none; in Docker's CAP_ form. @default [] */
	readonly keepCapabilities?: readonly string[];
	/** Shared memory in MiB. @default Docker's 64 */
	readonly shmMb?: number;
	/** @default the image's */
	readonly stopSignal?: string;
	/** Seconds for a clean stop before the kill. */
	readonly stopSeconds: number;
	/** Whether a creation waits for health. @default true */
	readonly wait?: boolean;
	/** Seconds to wait for health at creation. @default 120 */
	readonly waitSeconds?: number;
	/** Extra labels, key to value. */
	readonly labels?: Readonly<Record<string, string>>;
}

/**
 * Processes that one user id may have. Docker counts them per user id on the whole host, over all containers
 * of that id, so this is a fence against runaways and not a share. The provider has no pids limit.
 */
const processLimit = 4096;

/** Log rotation of every container: at most 3 files of 10 MB. */
const logOptions = { "max-size": "10m", "max-file": "3" };

/** One service's container, hardened and waited for. */
export class ServiceContainer extends pulumi.ComponentResource {
	readonly container: docker.Container;

	constructor(name: string, args: ServiceContainerArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:docker:ServiceContainer", name, {}, opts);
		this.container = new docker.Container(`${name}-container`, containerArgs(args), {
			parent: this,
			// These plan as updates and are never applied to the running container: replace instead.
			replaceOnChanges: ["healthcheck", "tmpfs", "init"],
			deleteBeforeReplace: true,
		});
		this.registerOutputs({ name: this.container.name });
	}
}

/** Mount of a volume whose content belongs to another service. */
export function readOnlyVolume(
	source: pulumi.Input<string>,
	target: string,
): docker.types.input.ContainerMount {
	return { type: "volume", source, target, readOnly: true };
}

function containerArgs(args: ServiceContainerArgs): docker.ContainerArgs {
	return {
		name: containerName(args.identity, args.service),
		image: args.image,
		user: args.user,
		command: args.command?.slice(),
		envs: Object.entries(args.environment ?? {}).map(([key, value]) => pulumi.interpolate`${key}=${value}`),
		labels: labelList({
			[labelKeys.owner]: ownerOf(args.identity.stack),
			[labelKeys.service]: args.service,
			...args.labels,
		}),
		networkMode: "bridge",
		networksAdvanced: Object.values(args.networks).map((network) => ({
			name: network,
			aliases: [args.service],
		})),
		ports: args.ports?.slice(),
		mounts: args.mounts?.slice(),
		tmpfs: args.tmpfs,
		uploads: args.uploads?.slice(),
		readOnly: !args.uploads?.length,
		capabilities: { drops: ["ALL"], adds: args.keepCapabilities?.slice() },
		securityOpts: ["no-new-privileges:true"],
		init: true,
		memory: args.memoryMb,
		// Without it every preview shows a change. Equal to memory: no swap.
		memorySwap: args.memoryMb,
		shmSize: args.shmMb,
		ulimits: [{ name: "nproc", soft: processLimit, hard: processLimit }],
		logDriver: "json-file",
		logOpts: logOptions,
		restart: "unless-stopped",
		healthcheck: healthcheckArgs(args.healthcheck),
		stopSignal: args.stopSignal,
		stopTimeout: args.stopSeconds,
		// Without it a replaced container is killed with no SIGTERM at all.
		destroyGraceSeconds: args.stopSeconds,
		wait: args.wait ?? true,
		waitTimeout: args.waitSeconds ?? 120,
		mustRun: true,
	};
}

function healthcheckArgs(check: Healthcheck): docker.types.input.ContainerHealthcheck {
	return {
		tests: check.test.slice(),
		interval: duration(check.intervalSeconds ?? 5),
		timeout: duration(check.timeoutSeconds ?? 5),
		startPeriod: duration(check.startPeriodSeconds ?? 30),
		retries: check.retries ?? 6,
	};
}

/** Seconds as the provider reads them back, `1m30s`: any other form is a difference in every preview. */
function duration(seconds: number): string {
	return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
