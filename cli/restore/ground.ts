/** What the one-shot containers of a restore are made from: image, environment, network and volumes of the stack. */
import type { VolumeKey } from "../../components/catalogue.ts";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import type { VerbContext } from "../context.ts";
import { docker, type ServiceContainer, stackContainers } from "../docker.ts";
import { StackError } from "../errors.ts";
import { findStackVolumes, type StackVolume } from "../volumes.ts";

/** The volume behind each part of a backup. */
export const volumeOfTarget: Readonly<Record<RestoreTarget, VolumeKey>> = {
	database: "postgres-data",
	media: "backend-media",
	static: "backend-static",
	redis: "redis-data",
};

export interface Ground {
	/** The backup container, running or not: its image, environment and secrets are used. */
	readonly backup: ServiceContainer;
	readonly database: ServiceContainer;
	/** `NAME=value` of the backup container: policy and connections. */
	readonly environment: readonly string[];
	/** The network on which the database is. */
	readonly network: string;
	/** Directory of the recovery points on the host. */
	readonly directory: string;
	readonly volumes: ReadonlyMap<RestoreTarget, StackVolume>;
}

/**
 * Looks at the stack. Nothing of it has to run.
 *
 * @throws StackError when the database or the backup container does not exist.
 */
export async function findGround(context: VerbContext): Promise<Ground> {
	const [containers, volumes] = await Promise.all([
		stackContainers(context.stack, context.signal),
		findStackVolumes(context),
	]);
	const find = (service: "backup" | "db") => {
		const container = containers.find((candidate) => candidate.service === service);
		if (container) return container;
		throw new StackError(`${service} of stack ${context.stack} has no container; nothing was changed`, {
			fix: context.command(containers.length === 0 ? "up" : "start"),
		});
	};
	const backup = find("backup");
	const database = find("db");
	const format = "{{json .Config.Env}}\n{{json .NetworkSettings.Networks}}";
	const [environment, networks] = await Promise.all(
		[backup, database].map(({ id }) => docker(["container", "inspect", "--format", format, id])),
	);
	const network = Object.keys(JSON.parse(networks?.split("\n")[1] ?? "{}"))[0];
	if (!network) {
		throw new StackError(`container ${database.name} is on no network; nothing was changed`, {
			fix: context.command("up --refresh"),
		});
	}
	return {
		...{ backup, database, network },
		environment: JSON.parse(environment?.split("\n")[0] ?? "[]"),
		directory: context.load().directories.backups,
		volumes: new Map(
			(Object.keys(volumeOfTarget) as RestoreTarget[]).map((target) => [
				target,
				volumes.find(({ key }) => key === volumeOfTarget[target]) as StackVolume,
			]),
		),
	};
}
