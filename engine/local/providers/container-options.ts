import type Docker from "dockerode";
import { labelMap } from "./docker-client.ts";

/** Inputs of docker:index/container:Container that this program uses. */
export interface ContainerInputs {
	name: string;
	image: string;
	user?: string;
	command?: string[];
	entrypoints?: string[];
	envs?: string[];
	labels?: { label: string; value: string }[];
	networkMode?: string;
	networksAdvanced?: { name: string; aliases?: string[] }[];
	ports?: { internal: number; external?: number; ip?: string; protocol?: string }[];
	mounts?: {
		type: "bind" | "volume" | "tmpfs";
		source?: string;
		target: string;
		readOnly?: boolean;
	}[];
	tmpfs?: Record<string, string>;
	uploads?: { file: string; content: string; permissions?: string }[];
	readOnly?: boolean;
	capabilities?: { adds?: string[]; drops?: string[] };
	securityOpts?: string[];
	init?: boolean;
	memory?: number;
	memorySwap?: number;
	shmSize?: number;
	ulimits?: { name: string; soft: number; hard: number }[];
	logDriver?: string;
	logOpts?: Record<string, string>;
	restart?: string;
	healthcheck?: {
		tests: string[];
		interval?: string;
		timeout?: string;
		startPeriod?: string;
		retries?: number;
	};
	stopSignal?: string;
	stopTimeout?: number;
	destroyGraceSeconds?: number;
	wait?: boolean;
	waitTimeout?: number;
	mustRun?: boolean;
}

const mebibyte = 1024 * 1024;

/** Docker's options for a container, as the Docker provider makes them of the same inputs. */
export function containerOptions(inputs: ContainerInputs): Docker.ContainerCreateOptions {
	const ports = inputs.ports ?? [];
	const portKey = (port: (typeof ports)[number]) => `${port.internal}/${port.protocol ?? "tcp"}`;
	return {
		name: inputs.name,
		Image: inputs.image,
		User: inputs.user ?? "",
		Cmd: inputs.command,
		Entrypoint: inputs.entrypoints,
		Env: inputs.envs,
		Labels: labelMap(inputs.labels),
		ExposedPorts: Object.fromEntries(ports.map((port) => [portKey(port), {}])),
		Healthcheck: inputs.healthcheck && {
			Test: inputs.healthcheck.tests,
			Interval: nanoseconds(inputs.healthcheck.interval),
			Timeout: nanoseconds(inputs.healthcheck.timeout),
			StartPeriod: nanoseconds(inputs.healthcheck.startPeriod),
			Retries: inputs.healthcheck.retries ?? 0,
		},
		StopSignal: inputs.stopSignal,
		StopTimeout: inputs.stopTimeout,
		HostConfig: {
			NetworkMode: inputs.networkMode,
			PortBindings:
				ports.length === 0
					? undefined
					: Object.fromEntries(
							ports.map((port) => [
								portKey(port),
								[{ HostIp: port.ip ?? "0.0.0.0", HostPort: String(port.external ?? "") }],
							]),
						),
			Mounts: (inputs.mounts ?? []).map((mount) => ({
				Type: mount.type,
				Source: mount.source ?? "",
				Target: mount.target,
				ReadOnly: mount.readOnly ?? false,
			})),
			Tmpfs: inputs.tmpfs,
			ReadonlyRootfs: inputs.readOnly ?? false,
			CapAdd: inputs.capabilities?.adds,
			CapDrop: inputs.capabilities?.drops ?? [],
			SecurityOpt: inputs.securityOpts,
			Init: inputs.init ?? false,
			Memory: (inputs.memory ?? 0) * mebibyte,
			MemorySwap: (inputs.memorySwap ?? 0) * mebibyte,
			ShmSize: inputs.shmSize === undefined ? undefined : inputs.shmSize * mebibyte,
			Ulimits: inputs.ulimits?.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
			LogConfig: { Type: inputs.logDriver ?? "", Config: inputs.logOpts ?? {} },
			RestartPolicy: { Name: inputs.restart ?? "no", MaximumRetryCount: 0 },
		},
	};
}

/** A duration such as `5s` or `1m30s` as Docker's nanoseconds. */
function nanoseconds(duration: string | undefined): number {
	const [, minutes = "0", seconds = "0"] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(duration ?? "") ?? [];
	return (Number(minutes) * 60 + Number(seconds)) * 1_000_000_000;
}
