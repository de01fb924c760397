/**
 * What the clean verbs take away: found afresh by owner label, removed by exact name, last started first, and
 * never anything that a stranger uses.
 */
import { readdirSync } from "node:fs";
import { relative } from "node:path";
import { serviceNames } from "../components/catalogue.ts";
import { appliedBy } from "../components/engine-in-use.ts";
import { labelKeys, ownerOf } from "../components/identity.ts";
import type { VerbContext } from "./context.ts";
import { docker } from "./docker.ts";
import { StackError } from "./errors.ts";
import { formatSize, type Output, table } from "./output.ts";
import { timed } from "./services.ts";
import { findStackVolumes, helperImage, type StackVolume } from "./volumes.ts";

export interface RemovalRequest {
	/** Every container of the stack, or only those that mount one of the volumes. */
	readonly containers: "all" | "users";
	/** @default false */
	readonly networks?: boolean;
	/** Which of the catalogue's volumes go. @default none */
	readonly volumes?: (volume: StackVolume) => boolean;
	/** Whether the backend's directory of log files is emptied. @default false */
	readonly logs?: boolean;
}

/** What of it there is on the host. */
export interface Removal {
	/** In the order in which they go. */
	readonly containers: readonly HostContainer[];
	readonly networks: readonly string[];
	readonly volumes: readonly StackVolume[];
	/** Files and directories in the backend's directory of log files. */
	readonly logs: readonly string[];
}

interface HostContainer {
	readonly id: string;
	readonly name: string;
	readonly owner: string;
	/** Empty for one-off containers. */
	readonly service: string;
	readonly running: boolean;
	/** Names of volumes and paths of the host. */
	readonly mounts: readonly string[];
	readonly networks: readonly string[];
}

/**
 * Finds what a request means.
 *
 * @throws StackError naming the container that is not of this stack and uses a volume or network that would go,
 *   or when volumes would go of a stack that was applied from another directory.
 */
export async function findRemoval(context: VerbContext, request: RemovalRequest): Promise<Removal> {
	const { stack, signal } = context;
	const owner = ownerOf(stack);
	const filter = `label=${labelKeys.owner}=${owner}`;
	const [all, known, listed] = await Promise.all([
		hostContainers(signal),
		findStackVolumes(context),
		request.networks ? docker(["network", "ls", "--filter", filter, "--format", "{{.Name}}"], signal) : "",
	]);
	const volumes = known.filter((volume) => volume.found && request.volumes?.(volume));
	const networks = listed.split("\n").filter(Boolean);
	const uses = ({ mounts }: HostContainer) => volumes.find(({ name }) => mounts.includes(name))?.name;
	const own = all.filter((container) => container.owner === owner);
	if (request.volumes) refuseForeignStack(context, own);
	for (const stranger of all.filter((container) => container.owner !== owner)) {
		const volume = uses(stranger);
		if (volume) throw inUse(context, stranger, `volume ${volume}`, `docker rm -f ${stranger.name}`);
		const network = stranger.running && networks.find((name) => stranger.networks.includes(name));
		if (!network) continue;
		const disconnect = `docker network disconnect ${network} ${stranger.name}`;
		throw inUse(context, stranger, `network ${network}`, disconnect);
	}
	const order = ({ service }: HostContainer) => (serviceNames as readonly string[]).indexOf(service);
	return {
		// One-off containers first: they use what the services offer.
		containers: own
			.filter((container) => request.containers === "all" || uses(container))
			.sort((a, b) => (order(a) < 0 ? -1 : order(b) < 0 ? 1 : order(b) - order(a))),
		networks,
		volumes,
		logs: request.logs ? logEntries(context.load().directories.backendLogs) : [],
	};
}

export function isNothing({ containers, networks, volumes, logs }: Removal): boolean {
	return containers.length + networks.length + volumes.length + logs.length === 0;
}

/** Removes it. What is gone already is no failure, so the same verb goes on where an earlier one was ended. */
export async function remove(context: VerbContext, removal: Removal): Promise<void> {
	const { output, signal } = context;
	if (removal.logs.length > 0) {
		const { backendLogs } = context.load().directories;
		await timed(output, "emptied", "directory", backendLogs, () => emptyLogs(context, backendLogs));
	}
	for (const { id, name, running } of removal.containers) {
		signal.throwIfAborted();
		await timed(output, "removed", "container", name, async () => {
			// A database that is killed has to recover at its next start.
			if (running) await ifPresent(docker(["stop", id]));
			await ifPresent(docker(["rm", "--force", id]));
		});
	}
	for (const [kind, names] of [
		["network", removal.networks],
		["volume", removal.volumes.map(({ name }) => name)],
	] as const) {
		for (const name of names) {
			signal.throwIfAborted();
			await timed(output, "removed", kind, name, () => ifPresent(docker([kind, "rm", name])));
		}
	}
}

/** One line for each object, volumes first: with their size, and what is in them. */
export function removalTable(
	{ load, project }: Pick<VerbContext, "load" | "project">,
	{ containers, networks, volumes, logs }: Removal,
	sizes: ReadonlyMap<string, number>,
	output: Output,
): string {
	const rows = [
		...volumes.map(({ name, entry }) => {
			const size = sizes.get(name);
			const content = `${entry.dataClass}: ${entry.summary}`;
			return ["volume", name, size === undefined ? "unknown" : formatSize(size), content];
		}),
		...(logs.length > 0
			? [["files in", relative(project, load().directories.backendLogs), "", logs.join(", ")]]
			: []),
		...containers.map(({ name, running }) => ["container", name, "", running ? "running" : "stopped"]),
		...networks.map((name) => ["network", name, "", ""]),
	];
	return table(
		["kind", "name", "size", "content"],
		rows.map(([kind = "", ...cells]) => [output.style("red", kind), ...cells]),
	);
}

export function removalAsJson(
	{ containers, networks, volumes, logs }: Removal,
	sizes: ReadonlyMap<string, number>,
) {
	return {
		containers: containers.map(({ name }) => name),
		networks,
		volumes: volumes.map(({ key, name, entry }) => {
			const size = sizes.get(name);
			return { key, name, class: entry.dataClass, sizeBytes: size === undefined ? null : size * 1024 };
		}),
		logFiles: logs,
	};
}

async function hostContainers(signal: AbortSignal): Promise<HostContainer[]> {
	const label = (key: string) => `{{.Label "${key}"}}`;
	const columns = [
		...["{{.ID}}", "{{.Names}}", label(labelKeys.owner), label(labelKeys.service)],
		...["{{.State}}", "{{.Mounts}}", "{{.Networks}}"],
	];
	const listed = await docker(["ps", "--all", "--no-trunc", "--format", columns.join("\t")], signal);
	return listed
		.split("\n")
		.filter(Boolean)
		.map((line) => {
			const [id = "", name = "", owner = "", service = "", state = "", mounts = "", networks = ""] =
				line.split("\t");
			const running = state === "running" || state === "paused" || state === "restarting";
			return { id, name, owner, service, running, mounts: mounts.split(","), networks: networks.split(",") };
		});
}

/** The lock and the engine's record are in that other directory, and nothing here could bring the data back. */
function refuseForeignStack({ stack, load, command }: VerbContext, own: readonly HostContainer[]): void {
	const services = own.filter(({ service }) => service !== "").map(({ name }) => name);
	if (services.length === 0 || appliedBy(load().directories.state)) return;
	throw new StackError(
		`stack ${stack} runs on this host, applied from another directory (${services.join(", ")}); nothing was removed`,
		{
			fix: `run it there; if that directory is lost, ${command("clean")} removes the containers and keeps the data, then the same command again`,
		},
	);
}

function inUse({ stack }: VerbContext, { name }: HostContainer, what: string, fix: string): StackError {
	return new StackError(
		`container ${name}, which is not of stack ${stack}, uses ${what}; nothing was removed`,
		{ fix: `${fix}, then the same command again` },
	);
}

/** Hidden files stay: they are a repository's, such as .gitkeep. */
function logEntries(directory: string): string[] {
	try {
		return readdirSync(directory).filter((name) => !name.startsWith("."));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
		throw error;
	}
}

/** In a container: the files are the backend's user's, whom the operator need not be. */
async function emptyLogs(context: VerbContext, directory: string): Promise<void> {
	const image = await helperImage(context);
	if (!image) {
		throw new StackError(`there is no image here to empty ${directory} with; nothing was removed`, {
			fix: `sudo rm -rf ${directory}/*, then the same command again`,
		});
	}
	await docker([
		...["run", "--rm", "--init", "--network", "none", "--user", "0:0", "--cap-drop", "ALL"],
		...[
			"--cap-add",
			"DAC_OVERRIDE",
			"--cap-add",
			"FOWNER",
			"--security-opt",
			"no-new-privileges",
			"--read-only",
		],
		...["--label", `${labelKeys.owner}=${ownerOf(context.stack)}`],
		...["--mount", `type=bind,source=${directory},target=/logs`],
		...[
			"--entrypoint",
			"find",
			image,
			"/logs",
			"-xdev",
			"-mindepth",
			"1",
			"!",
			"-path",
			"/logs/.*",
			"-delete",
		],
	]);
}

async function ifPresent(command: Promise<unknown>): Promise<void> {
	try {
		await command;
	} catch (error) {
		if (!/no such (container|network|volume)|network \S+ not found/i.test((error as Error).message))
			throw error;
	}
}
