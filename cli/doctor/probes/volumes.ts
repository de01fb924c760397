/** The volumes: there, the stack's own, used by nobody else, and with the data that the backups know. */
import { isPrecious, volumeEntry } from "../../../components/catalogue.ts";
import { readDockerHost } from "../../../components/docker-host.ts";
import { guardContainers, guardVolumes } from "../../../components/guards.ts";
import { ownerOf } from "../../../components/identity.ts";
import { newestGoodFull } from "../../../recovery/points.ts";
import { age, count } from "../../output.ts";
import type { StackVolume } from "../../volumes.ts";
import { recognised } from "../cases.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtVolumes(facts: Facts): Promise<Finding[]> {
	const volumes = await facts.volumes();
	const findings = [
		...(await strangers(facts, volumes)),
		...(await missing(facts, volumes)),
		...(await madeAnew(facts)),
	];
	if (findings.length > 0) return findings;
	const there = volumes.filter(({ found }) => found).length;
	return [
		{ verdict: "ok", message: `${count(there, "volume")} of ${volumes.length}, used by this stack alone` },
	];
}

/** Containers that are not the stack's and use its volumes, and objects of others under the stack's names. */
async function strangers({ context }: Facts, volumes: readonly StackVolume[]): Promise<Finding[]> {
	const { identity, settings } = context.load();
	const host = await readDockerHost();
	const findings = volumes
		.filter(({ found }) => found)
		.flatMap(({ name }) =>
			host.containers
				.filter(({ owner, mounts }) => owner !== ownerOf(identity.stack) && mounts.includes(name))
				.map((container) => {
					const how = container.running ? "is running on" : "holds";
					// Two servers on the same files destroy them.
					return recognised(context, "volume-in-use", `container ${container.name} ${how} volume ${name}`, {
						object: container.name,
						verdict: container.running ? "fail" : "warn",
					});
				}),
		);
	if (findings.some(({ verdict }) => verdict === "fail")) return findings;
	for (const guard of [
		() => guardContainers(identity, host),
		() => guardVolumes(identity, settings.adopt, host),
	]) {
		try {
			guard();
		} catch (error) {
			findings.push({ verdict: "fail", message: (error as Error).message });
		}
	}
	return findings;
}

/** Volumes that the stack had: what came back by itself is no loss. */
async function missing(facts: Facts, volumes: readonly StackVolume[]): Promise<Finding[]> {
	const { context } = facts;
	const gone = volumes.filter(({ found }) => !found);
	if (gone.length === 0) return [];
	const names = (some: readonly StackVolume[]) => some.map(({ name }) => name).join(", ");
	const lost = gone.filter(({ entry }) => isPrecious(entry));
	const rest = gone.filter(({ entry }) => !isPrecious(entry));
	const findings: Finding[] = [];
	if (lost.some(({ entry }) => entry.dataClass === "critical")) {
		findings.push(
			recognised(
				context,
				"data-lost",
				`missing, with what was in it: ${names(lost)}. ${await newest(facts)}`,
			),
		);
	} else rest.push(...lost);
	if (rest.length > 0) {
		const how = rest.map(({ key }) => volumeEntry(key).regeneratedBy).join("; ");
		findings.push({
			verdict: "warn",
			message: `missing: ${names(rest)}; comes back by: ${how}`,
			fix: context.command("start"),
		});
	}
	return findings;
}

/** A database that is younger than the newest backup of the stack has lost what is in that. */
async function madeAnew(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const database = await facts.database();
	if (!database) return [];
	const { points } = await facts.backups();
	const point = newestGoodFull(points, context.stack, new Date());
	if (!point || point.createdAt >= database.initialised) return [];
	// A restore makes the application's database after the server's files.
	if (database.created.getTime() - database.initialised.getTime() > firstStartMinutes * 60_000) return [];
	const what = `the database was made anew ${age(database.initialised)} ago, after the newest good backup, ${point.file}; what that holds is not in it`;
	return [recognised(context, "data-lost", what, { verdict: "warn" })];
}

/** A first start makes the application's database within this time. */
const firstStartMinutes = 2;

async function newest(facts: Facts): Promise<string> {
	const { points } = await facts.backups();
	const point = newestGoodFull(points, facts.context.stack, new Date());
	return point
		? `The newest good backup is ${point.file}, ${age(point.createdAt)} old`
		: "There is no good backup of this stack here";
}
