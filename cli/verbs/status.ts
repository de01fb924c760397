/** `stack status`: services and volumes and how they are. */
import { serviceNames } from "../../components/catalogue.ts";
import { appliedBy } from "../../components/engine-in-use.ts";
import { backupAsJson, backupText, lookAtBackups } from "../backup-status.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { docker, type ServiceContainer, stackContainers } from "../docker.ts";
import { passedLimits } from "../doctor/limits.ts";
import { exitCodes } from "../errors.ts";
import { age, count, type Output, table } from "../output.ts";
import { addressOf, isWell } from "../services.ts";
import { findUnfinishedRestore, unfinishedText } from "../unfinished-restore.ts";
import { findStackVolumes } from "../volumes.ts";

/** For the sizes of volumes, which have to be measured: a status is waited for. */
const measuringSeconds = 3;

export async function status(context: VerbContext, { options }: Invocation): Promise<number> {
	const { output, stack, signal } = context;
	const engine = appliedBy(context.load().directories.state);
	const [containers, volumes] = await Promise.all([
		stackContainers(stack, signal),
		findStackVolumes(context),
	]);
	const images = await imageNames(containers, context.load().identity.prefix, signal);
	const well = serviceNames.every((name) =>
		containers.some((container) => container.service === name && isWell(container)),
	);
	const address = addressOf(containers);
	const exists = containers.length > 0 || volumes.some(({ found }) => found);
	const unfinished = await findUnfinishedRestore(context);
	const [backups, limits] = await Promise.all([
		lookAtBackups(context),
		exists ? passedLimits(context, volumes, measuringSeconds) : [],
	]);

	output.data(stack, {
		exists,
		healthy: well,
		engine: engine ?? null,
		url: address ?? null,
		services: serviceNames.map((service) => serviceAsJson(service, containers, images)),
		volumes: volumes.map(({ key, name, entry, found }) => ({
			key,
			name,
			class: entry.dataClass,
			present: Boolean(found),
		})),
		backup: backupAsJson(stack, backups),
		restore: unfinished ?? null,
		limits,
	});
	output.result(
		`Stack ${stack}${engine ? `, applied by the ${engine} engine` : ""}${address ? `, at ${address}` : ""}\n`,
	);
	if (!exists) {
		output.result(`There is nothing of it on this host. Create it: ${context.command("up")}`);
		const kept = backups.state?.points.filter((point) => point.stack === stack).length ?? 0;
		if (kept > 0) output.result(`Kept of it: ${count(kept, "backup")} in ${backups.directory}`);
	} else {
		output.result(serviceTable(containers, images, output));
		output.result();
		const rows = volumes.map(({ name, entry, found }) => [
			name,
			entry.dataClass,
			found ? "present" : output.style("yellow", "missing"),
			entry.purpose,
		]);
		output.result(table(["volume", "class", "state", "purpose"], rows));
		output.result(`\n${backupText(stack, backups, output)}`);
		if (unfinished) {
			const mend = unfinished.underWay ? "" : `. Put it right: ${context.command("start")}`;
			const text = unfinishedText(unfinished);
			output.result(output.style(["red", "bold"], `${text[0]?.toUpperCase()}${text.slice(1)}${mend}`));
		}
		for (const limit of limits) output.result(`${output.style("yellow", "Limit passed")}: ${limit}`);
		if (!well) {
			const missing = containers.length < serviceNames.length;
			output.progress(
				`\nNot every service is well. ${missing ? "Bring them back" : "Start what is stopped"}:\n  ${context.command("start")}\nSee why:\n  ${context.command("logs --tail 50")}`,
			);
		}
	}
	const good = well && backups.state?.fresh === true;
	return options.exitCode && !good ? exitCodes.unhealthy : exitCodes.done;
}

function serviceTable(
	containers: readonly ServiceContainer[],
	images: ReadonlyMap<string, string>,
	output: Output,
): string {
	const rows = serviceNames.map((service) => {
		const container = containers.find((candidate) => candidate.service === service);
		if (!container) return [service, output.style("yellow", "missing"), "", "", ""];
		const { state, health, startedAt, finishedAt, exitCode, imageId } = container;
		const running = state === "running";
		const shownState = state === "exited" ? `stopped (${exitCode})` : state;
		const color = !running || health === "starting" ? "yellow" : isWell(container) ? "green" : "red";
		return [
			service,
			output.style(running ? "green" : "yellow", shownState),
			running && health !== "none" ? output.style(color, health) : "-",
			running ? age(startedAt) : state === "exited" ? `${age(finishedAt)} ago` : "-",
			images.get(imageId) ?? imageId.slice(0, 19),
		];
	});
	return table(["service", "state", "health", "since", "image"], rows);
}

function serviceAsJson(
	service: string,
	containers: readonly ServiceContainer[],
	images: ReadonlyMap<string, string>,
) {
	const container = containers.find((candidate) => candidate.service === service);
	if (!container)
		return { service, state: "missing", health: null, container: null, image: null, startedAt: null };
	return {
		service,
		state: container.state,
		health: container.health === "none" ? null : container.health,
		container: container.name,
		image: images.get(container.imageId) ?? null,
		imageId: container.imageId,
		startedAt: container.startedAt.toISOString(),
		exitCode: container.state === "exited" ? container.exitCode : null,
	};
}

/**
 * Names of images by id; containers name theirs by id. Of several names the stack's own counts. An image that
 * was rebuilt since has no name any more.
 */
async function imageNames(
	containers: readonly ServiceContainer[],
	prefix: string,
	signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
	if (containers.length === 0) return new Map();
	const format = "{{.ID}}\t{{.Repository}}:{{.Tag}}";
	const listed = await docker(["image", "ls", "--no-trunc", "--format", format], signal);
	const names = new Map<string, string>();
	for (const line of listed.split("\n")) {
		const [id, name] = line.split("\t");
		if (!id || !name || name.includes("<none>")) continue;
		if (!names.has(id) || name.startsWith(`${prefix}-`)) names.set(id, name);
	}
	return names;
}
