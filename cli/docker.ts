/** Docker through its own command line, so that contexts, sockets and credentials work as they do by hand. */
import { type ExecFileException, execFile, spawn } from "node:child_process";
import { constants } from "node:os";
import { type ServiceName, serviceNames } from "../components/catalogue.ts";
import { labelKeys, ownerOf } from "../components/identity.ts";
import { commandLine } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";

import { inForeground } from "./interrupt.ts";
import { dockerHost } from "./setup/docker-host.ts";

/** One service's container as Docker knows it. */
export interface ServiceContainer {
	readonly id: string;
	readonly name: string;
	readonly service: ServiceName;
	readonly imageId: string;
	/** Docker's word: created, running, paused, restarting, removing, exited, dead. */
	readonly state: string;
	/** healthy, unhealthy or starting; none where it has no healthcheck. */
	readonly health: string;
	readonly exitCode: number;
	readonly restarts: number;
	readonly startedAt: Date;
	readonly finishedAt: Date;
	readonly mounts: readonly {
		readonly Type: string;
		readonly Source: string;
		readonly Destination: string;
	}[];
	/** Published ports as `address:port`. */
	readonly ports: readonly string[];
	/** Command of the healthcheck in Docker's form: CMD or CMD-SHELL first. Empty where there is none. */
	readonly healthTest: readonly string[];
}

/**
 * Output of a docker command.
 *
 * @throws StackError saying why when Docker does not answer (5), does not permit (4), or the command fails (1).
 */
export function docker(args: readonly string[], signal?: AbortSignal): Promise<string> {
	return new Promise((done, fail) => {
		execFile("docker", args, { maxBuffer: 256 * 1024 * 1024, signal }, (error, stdout, stderr) => {
			if (!error) done(stdout);
			else fail(signal?.aborted ? signal.reason : dockerError(args, error, stderr));
		});
	});
}

function dockerError(args: readonly string[], error: ExecFileException, stderr: string): StackError {
	const said = stderr.trim();
	if (error.code === "ENOENT") {
		return new StackError("there is no docker command on the PATH; nothing was changed", {
			exitCode: exitCodes.unreachable,
			fix: "./docker-dev.sh up installs Docker; or put docker on the PATH",
		});
	}
	if (/permission denied/i.test(said) && /docker\.sock|Docker daemon socket/i.test(said)) {
		return new StackError("this user may not talk to Docker; nothing was changed", {
			exitCode: exitCodes.permission,
			fix: 'run with sudo, or join the group and log in again: sudo usermod -aG docker "$USER"',
		});
	}
	if (
		/cannot connect to the docker daemon|error during connect|is the docker daemon running|no such host/i.test(
			said,
		)
	) {
		return new StackError(`Docker does not answer: ${said}`, {
			exitCode: exitCodes.unreachable,
			fix: "start the Docker Engine (sudo systemctl start docker), or correct DOCKER_HOST",
		});
	}
	return new StackError(`docker ${args.slice(0, 2).join(" ")} failed: ${said || error.message}`);
}

/** @throws StackError when Docker does not answer. */
export async function requireDocker(signal?: AbortSignal): Promise<void> {
	await docker(["version", "--format", "{{.Server.Version}}"], signal);
}

/** Runs a docker command with this program's own terminal, pipes and signals; returns its exit code. */
export function dockerInForeground(args: readonly string[]): Promise<number> {
	return inForeground(
		() =>
			new Promise((done, fail) => {
				const child = spawn("docker", args, { stdio: "inherit" });
				let terminated = false;
				const forward = () => {
					terminated = true;
					child.kill("SIGTERM");
				};
				process.on("SIGTERM", forward);
				child.once("error", (error) => fail(dockerError(args, error, "")));
				child.once("close", (code, signal) => {
					process.off("SIGTERM", forward);
					// A docker client that is terminated ends with 0, whatever the command in the container does.
					if (terminated) done(128 + constants.signals.SIGTERM);
					else done(signal ? 128 + constants.signals[signal] : (code ?? exitCodes.failed));
				});
			}),
	);
}

interface Inspected {
	readonly Id: string;
	readonly Name: string;
	readonly Image: string;
	readonly RestartCount: number;
	readonly State: {
		readonly Status: string;
		readonly ExitCode: number;
		readonly StartedAt: string;
		readonly FinishedAt: string;
		readonly Health?: { readonly Status: string };
	};
	readonly Config: {
		readonly Labels: Readonly<Record<string, string>>;
		readonly Healthcheck?: { readonly Test?: readonly string[] };
	};
	readonly HostConfig: {
		readonly PortBindings: Readonly<Record<string, { HostIp: string; HostPort: string }[]>> | null;
	};
	readonly Mounts: ServiceContainer["mounts"];
}

/** The containers of a stack's services, found by label, in the order in which services start. */
export async function stackContainers(stack: string, signal?: AbortSignal): Promise<ServiceContainer[]> {
	const filter = `label=${labelKeys.owner}=${ownerOf(stack)}`;
	const listed = await docker(["ps", "--all", "--quiet", "--no-trunc", "--filter", filter], signal);
	const ids = listed.split("\n").filter(Boolean);
	if (ids.length === 0) return [];
	const containers = (await inspectContainers(ids, signal)).map(read);
	const order = (container: ServiceContainer) => serviceNames.indexOf(container.service);
	return containers.filter((container) => order(container) >= 0).sort((a, b) => order(a) - order(b));
}

/** One-off containers of the same stack come and go: one that is gone by now fails the inspection of them all. */
async function inspectContainers(ids: readonly string[], signal?: AbortSignal): Promise<Inspected[]> {
	const inspect = async (which: readonly string[]) =>
		JSON.parse(await docker(["container", "inspect", ...which], signal)) as Inspected[];
	try {
		return await inspect(ids);
	} catch (error) {
		if (!/no such container/i.test((error as Error).message)) throw error;
		const each = await Promise.allSettled(ids.map((id) => inspect([id])));
		return each.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
	}
}

function read(found: Inspected): ServiceContainer {
	return {
		id: found.Id,
		name: found.Name.replace(/^\//, ""),
		service: found.Config.Labels[labelKeys.service] as ServiceName,
		imageId: found.Image,
		state: found.State.Status,
		health: found.State.Health?.Status ?? "none",
		exitCode: found.State.ExitCode,
		restarts: found.RestartCount,
		startedAt: new Date(found.State.StartedAt),
		finishedAt: new Date(found.State.FinishedAt),
		mounts: found.Mounts,
		ports: Object.values(found.HostConfig.PortBindings ?? {}).flatMap((bindings) =>
			bindings.map(({ HostIp, HostPort }) => `${HostIp || "0.0.0.0"}:${HostPort}`),
		),
		healthTest: found.Config.Healthcheck?.Test ?? [],
	};
}

/**
 * The running container of a service.
 *
 * @throws StackError naming the command that mends it when there is none, or it does not run.
 */
export async function runningContainer(stack: string, service: ServiceName): Promise<ServiceContainer> {
	const containers = await stackContainers(stack);
	const container = containers.find((candidate) => candidate.service === service);
	if (!container) {
		const whole =
			containers.length === 0
				? `stack ${stack} has no containers`
				: `${service} of stack ${stack} has no container`;
		throw new StackError(whole, {
			fix: commandLine(stack, containers.length === 0 ? "up" : `start ${service}`),
		});
	}
	if (container.state === "running") return container;
	const fix =
		container.state === "paused"
			? `docker unpause ${container.name}`
			: commandLine(stack, `start ${service}`);
	throw new StackError(
		`${service} of stack ${stack} does not run (container ${container.name}: ${container.state})`,
		{
			fix,
		},
	);
}

/** @throws StackError when Docker runs elsewhere: files, mounts and terminals of a verb are on this machine. */
export function refuseRemoteHost(verb: string): void {
	const host = dockerHost();
	if (!isRemote(host)) return;
	throw new StackError(
		`${verb} works on the machine that runs Docker, and Docker is at ${host}; nothing was done`,
		{
			exitCode: exitCodes.usage,
			fix: "run it there; up, preview and destroy work from here",
		},
	);
}

export function isRemote(host: string): boolean {
	return /^(ssh|tcp|https?):/.test(host);
}
