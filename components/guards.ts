/**
 * Guards of the program itself, so that plain `pulumi up` has them too. They only read, run before anything is
 * planned, and stop with an error that names the object and the mend.
 */
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { LockedError, lockFile, lockHolder, lockTokenVariable } from "../recovery/lock.ts";
import { readRestoreJournal, unfinishedRestore } from "../recovery/restore-journal.ts";
import { serviceNames, type VolumeKey, volumeCatalogue } from "./catalogue.ts";
import type { StackDirectories } from "./directories.ts";
import type { DockerHost, FoundVolume } from "./docker-host.ts";
import { appliedBy, type EngineName, handoverFile, handoverVariable } from "./engine-in-use.ts";
import { GuardError } from "./guard-error.ts";
import { containerName, ownerOf, type StackIdentity, volumeName } from "./identity.ts";
import { findVolumes } from "./own-volumes.ts";
import type { SettingKey, StackSettings } from "./settings.ts";

export { GuardError };

/** Oldest Node that runs the program's TypeScript natively and that the Pulumi SDK accepts. */
const oldestNode = 24;

/** @throws GuardError when Node is too old. */
export function guardNode(version: string): void {
	if (Number.parseInt(version, 10) >= oldestNode) return;
	throw new GuardError(
		`Node ${version} is too old: this program needs Node ${oldestNode} or newer. Run it as ./docker-dev.sh up, or put node_modules/.bin, which holds one, first on the PATH.`,
	);
}

/** @throws LockedError when somebody else changes this stack. */
export function guardLock(
	backupDirectory: string,
	stack: string,
	token = process.env[lockTokenVariable],
): void {
	const file = lockFile(backupDirectory, stack);
	const holder = lockHolder(file);
	if (holder && holder.token !== token) throw new LockedError(holder, file);
}

/** @throws GuardError when a restore was cut off: services must not start on data that is half old, half new. */
export async function guardRestore(backupDirectory: string, stack: string): Promise<void> {
	const journal = await readRestoreJournal(backupDirectory, stack);
	if (journal) throw new GuardError(unfinishedRestore(journal));
}

/** @throws GuardError when the other engine applied the stack last, or a handover between them is unfinished. */
export function guardEngine(
	stack: string,
	directories: Pick<StackDirectories, "state">,
	engine: EngineName,
): void {
	if (process.env[handoverVariable]) return;
	const command = `./docker-dev.sh -s ${stack}`;
	if (existsSync(handoverFile(directories.state))) {
		throw new GuardError(
			`a handover of stack ${stack} from one engine to the other did not come to its end; nothing was changed. Run it again, which undoes or finishes what it began: ${command} handover`,
		);
	}
	const applied = appliedBy(directories.state);
	if (!applied || applied === engine) return;
	throw new GuardError(
		`stack ${stack} was last applied by the ${applied} engine, and this is the ${engine} one, which knows nothing of its objects; nothing was changed. Go on with the ${applied} engine (${command} --engine ${applied} up), or hand the stack over: ${command} handover --to ${engine}`,
	);
}

/** Bucket names that begin so are made up: names are taken worldwide, so no committed file can name the real one. */
const placeholder = /^example-/;

/** @throws GuardError when a bucket would be made under the name of an example. */
export function guardPlaceholders(stack: string, settings: StackSettings): void {
	if (!settings.offsite || settings.offsiteEndpoint !== "") return;
	for (const key of ["offsiteBucket", "offsiteReplicaBucket"] as const) {
		if (!placeholder.test(settings[key])) continue;
		throw new GuardError(
			`${key} ${settings[key]} is a placeholder, good for previews only; nothing was changed. Names of buckets are taken worldwide: write one of your own in Pulumi.${stack}.yaml.`,
		);
	}
}

/**
 * Finds the volumes that this stack owns or adopts, by catalogue key.
 *
 * @throws GuardError when a volume of a name that would be used is a stranger's: Docker would mount it silently.
 */
export function guardVolumes(
	identity: StackIdentity,
	adopt: readonly string[],
	host: DockerHost,
): Partial<Record<VolumeKey, string>> {
	const missing = adopt.filter((name) => !host.volumes.some((volume) => volume.name === name));
	if (missing.length > 0) {
		throw new GuardError(
			`adopt names ${missing.join(", ")}, and there is no such volume on this host; nothing was changed. Correct the name (docker volume ls), or remove it from adopt.`,
		);
	}
	const own = findVolumes(identity, adopt, host.volumes);
	const found: Partial<Record<VolumeKey, string>> = {};
	for (const { key } of volumeCatalogue) {
		const name = volumeName(identity, key);
		const volume = own[key];
		if (volume) {
			found[key] = volume.name;
			refuseStrangersAtWork(identity, volume, host);
			continue;
		}
		const stranger = host.volumes.find((candidate) => candidate.name === name);
		if (stranger) {
			const whose = stranger.owner ? `belongs to stack ${stranger.owner}` : "was not made by this stack";
			throw new GuardError(
				`volume ${name} exists and ${whose}; its data would be taken over, so nothing was changed. To take it over on purpose, add it to adopt in Pulumi.${identity.stack}.yaml; otherwise choose another prefix there.`,
			);
		}
	}
	return found;
}

/** Two database servers on the same files destroy them. */
function refuseStrangersAtWork(identity: StackIdentity, volume: FoundVolume, host: DockerHost): void {
	const user = host.containers.find(
		({ running, owner, mounts }) =>
			running && owner !== ownerOf(identity.stack) && mounts.includes(volume.name),
	);
	if (!user) return;
	throw new GuardError(
		`container ${user.name}, which is not of this stack, is running on volume ${volume.name}; two servers on the same files would destroy them, so nothing was changed. Stop it first: docker stop ${user.name}`,
	);
}

/** @throws GuardError when a container of a name that would be used is somebody else's. */
export function guardContainers(identity: StackIdentity, host: DockerHost): void {
	for (const service of serviceNames) {
		const name = containerName(identity, service);
		const container = host.containers.find((candidate) => candidate.name === name);
		if (!container || container.owner === ownerOf(identity.stack)) continue;
		throw new GuardError(
			`container ${name} exists and is not of stack ${identity.stack}; nothing was changed. Remove or rename it (docker rename ${name} NEW-NAME), or choose another prefix in Pulumi.${identity.stack}.yaml.`,
		);
	}
}

/** Checks every port that the stack publishes, as `guardPort` does one. */
export async function guardPorts(
	identity: StackIdentity,
	settings: Pick<StackSettings, "bindAddress" | "port" | "metricsPort">,
	host: DockerHost,
): Promise<void> {
	await guardPort(identity, settings, host);
	const { metricsPort: port } = settings;
	if (port > 0) await guardPort(identity, { bindAddress: "127.0.0.1", port }, host, "metricsPort");
}

/**
 * Checks that a port is free or already this stack's. Only where Docker runs on this very host.
 *
 * @param setting that names it.
 * @throws GuardError when something else listens there.
 */
export async function guardPort(
	identity: StackIdentity,
	{ bindAddress, port }: Pick<StackSettings, "bindAddress" | "port">,
	host: DockerHost,
	setting: SettingKey = "port",
): Promise<void> {
	if (/^(ssh|tcp):/.test(process.env.DOCKER_HOST ?? "")) return;
	const publishes = ({ running, ports }: DockerHost["containers"][number]) =>
		running && ports.includes(`:${port}->`);
	const publisher = host.containers.find(publishes);
	if (publisher?.owner === ownerOf(identity.stack)) return;
	if (!publisher && (await canListen(bindAddress, port))) return;
	const who = publisher ? `container ${publisher.name}` : "another program on this host";
	throw new GuardError(
		`port ${port} at ${bindAddress} is taken by ${who}; nothing was changed. Stop it, or set another ${setting} in Pulumi.${identity.stack}.yaml.`,
	);
}

function canListen(host: string, port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const server = createServer();
		// Without the right to a port below 1024 nothing is known: Docker itself may have it.
		server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "EADDRINUSE"));
		server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
	});
}
