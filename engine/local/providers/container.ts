import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { EngineError, UnhealthyError } from "../../errors.ts";
import type { Provider, ProviderContext } from "../provider.ts";
import { type ContainerInputs, containerOptions } from "./container-options.ts";
import { dockerClient, orMissing } from "./docker-client.ts";

/** Changes that the Docker provider applies to the running container, or that concern only later steps. */
const inPlace: ReadonlySet<string> = new Set([
	...["restart", "memory", "memorySwap"],
	...["mustRun", "wait", "waitTimeout", "destroyGraceSeconds"],
	// Planned as updates and never applied: the program lists them under replaceOnChanges.
	...["healthcheck", "tmpfs", "init"],
]);

/** Lines of a container's log that an error shows. */
const shownLines = 20;

/** A service that ends again and again while it starts will not get healthy. */
const toleratedRestarts = 2;

/** docker:index/container:Container. */
export const containerProvider: Provider = {
	effect: (property) => (inPlace.has(property) ? "update" : "replace"),
	unordered: ["envs", "labels", "mounts", "networksAdvanced", "uploads", "ulimits", "securityOpts"],
	computed: ["networkDatas", "bridge", "containerLogs", "exitCode"],
	deleteBeforeReplace: () => true,

	async create(inputs, context) {
		const spec = inputs as unknown as ContainerInputs;
		await makeRoom(spec, context.interrupted);
		const container = await dockerClient().createContainer(containerOptions(spec));
		context.onExists({ id: container.id, outputs: inputs });
		await connectNetworks(container, spec);
		await uploadFiles(container, spec);
		await startAndWait(container, spec, context);
		return { id: container.id, outputs: inputs };
	},

	async update(id, _before, after, context) {
		const spec = after as unknown as ContainerInputs;
		const container = dockerClient().getContainer(id);
		const { HostConfig } = containerOptions(spec);
		await container.update({
			Memory: HostConfig?.Memory,
			MemorySwap: HostConfig?.MemorySwap,
			RestartPolicy: HostConfig?.RestartPolicy,
		});
		const { State: state } = await container.inspect();
		if (spec.mustRun && !state.Running) await startAndWait(container, spec, context);
		return after;
	},

	async read(id, outputs) {
		const found = await orMissing(dockerClient().getContainer(id).inspect());
		if (!found) return undefined;
		return found.State.Running || !outputs.mustRun ? { outputs } : { outputs, drift: { mustRun: false } };
	},

	async delete(id, outputs) {
		const { destroyGraceSeconds } = outputs as unknown as ContainerInputs;
		await removeContainer(dockerClient().getContainer(id), destroyGraceSeconds);
	},
};

/** Removes what a killed run of this stack left under the name; anything else there is not ours to remove. */
async function makeRoom({ name, destroyGraceSeconds }: ContainerInputs, interrupted: boolean): Promise<void> {
	const existing = dockerClient().getContainer(name);
	if (!(await orMissing(existing.inspect()))) return;
	if (!interrupted) {
		throw new EngineError(
			`container ${name} exists and is not in this stack's state, so it was left as it is. Remove it (docker rm -f ${name}), or choose another prefix.`,
		);
	}
	await removeContainer(existing, destroyGraceSeconds);
}

/** Stops a container in its own time first: a database that is killed has to recover at its next start. */
async function removeContainer(container: Docker.Container, graceSeconds = 0): Promise<void> {
	const found = await orMissing(container.inspect());
	if (!found) return;
	if (found.State.Running) await orMissing(container.stop({ t: graceSeconds }).catch(ignoreStopped));
	await orMissing(container.remove({ v: true, force: true }));
}

async function connectNetworks(container: Docker.Container, spec: ContainerInputs): Promise<void> {
	if (!spec.networksAdvanced?.length) return;
	const docker = dockerClient();
	await orMissing(
		docker.getNetwork("bridge").disconnect({ Container: container.id }).catch(ignoreUnconnected),
	);
	for (const { name, aliases } of spec.networksAdvanced) {
		await docker.getNetwork(name).connect({
			Container: container.id,
			EndpointConfig: { Aliases: aliases, IPAMConfig: {}, DriverOpts: {} },
		});
	}
}

async function uploadFiles(container: Docker.Container, { uploads }: ContainerInputs): Promise<void> {
	if (!uploads?.length) return;
	const archive = pack();
	for (const { file, content, permissions } of uploads) {
		archive.entry(
			{ name: file.replace(/^\//, ""), mode: Number.parseInt(permissions ?? "0644", 8) },
			content,
		);
	}
	archive.finalize();
	await container.putArchive(Buffer.concat(await Array.fromAsync(archive as AsyncIterable<Buffer>)), {
		path: "/",
	});
}

async function startAndWait(
	container: Docker.Container,
	spec: ContainerInputs,
	context: ProviderContext,
): Promise<void> {
	await container.start();
	if (!spec.wait) return;
	const deadline = Date.now() + (spec.waitTimeout ?? 60) * 1000;
	for (;;) {
		context.signal?.throwIfAborted();
		const { State: state, RestartCount: restarts } = await container.inspect();
		if (state.Health?.Status === "healthy") return;
		const ended = (!state.Running && !state.Restarting) || restarts > toleratedRestarts;
		if (ended || Date.now() > deadline) {
			const what = ended
				? `ended with exit code ${state.ExitCode}`
				: `did not get healthy within ${spec.waitTimeout} s (${state.Health?.Status ?? state.Status})`;
			throw new UnhealthyError(
				`container ${spec.name} ${what}. Its last lines:\n${await lastLines(container)}`,
			);
		}
		await sleep(250, undefined, { signal: context.signal });
	}
}

/** The end of a container's log; the 8 bytes before each frame of Docker's stream are dropped. */
async function lastLines(container: Docker.Container): Promise<string> {
	const log = await container.logs({ stdout: true, stderr: true, tail: shownLines });
	const lines: string[] = [];
	for (let at = 0; at + 8 <= log.length; ) {
		const length = log.readUInt32BE(at + 4);
		lines.push(log.subarray(at + 8, at + 8 + length).toString("utf8"));
		at += 8 + length;
	}
	return lines
		.join("")
		.trimEnd()
		.split("\n")
		.map((line) => `    ${line}`)
		.join("\n");
}

function ignoreStopped(error: { statusCode?: number }): void {
	if (error.statusCode !== 304) throw error;
}

function ignoreUnconnected(error: { message: string }): void {
	if (!error.message.includes("is not connected")) throw error;
}
