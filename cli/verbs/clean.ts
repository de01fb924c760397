/** `stack clean` and its kin: containers, networks and what comes back by itself. `clean-all` is another matter. */
import type { CleanVerb } from "../../components/catalogue.ts";
import { confirm, requireAnswer } from "../confirm.ts";
import { defaultStack, type Invocation, type Verb, type VerbContext } from "../context.ts";
import { requireDocker } from "../docker.ts";
import { withLock } from "../lock.ts";
import { count } from "../output.ts";
import {
	findRemoval,
	isNothing,
	type Removal,
	type RemovalRequest,
	removalAsJson,
	removalTable,
	remove,
} from "../removal.ts";
import { findStackVolumes, measureVolumes } from "../volumes.ts";

interface CleanSpec extends RemovalRequest {
	readonly verb: string;
	/** Whether it asks first in every stack but dev. */
	readonly asksOutsideDev: boolean;
}

/** Containers and networks; every volume stays, as `docker compose down` leaves it. */
export const clean = cleanVerb({ verb: "clean", containers: "all", networks: true, asksOutsideDev: false });

/** The same under the specification's other name. */
export const cleanContainers = cleanVerb({
	verb: "clean-containers",
	containers: "all",
	networks: true,
	asksOutsideDev: false,
});

export const cleanCache = volumesVerb("clean-cache");
export const cleanLogs = volumesVerb("clean-logs", { logs: true });

/** The volumes that the catalogue gives to the verb, with the containers that use them. */
function volumesVerb(verb: CleanVerb, others: Pick<RemovalRequest, "logs"> = {}): Verb {
	return cleanVerb({
		verb,
		containers: "users",
		volumes: ({ entry }) => entry.cleanedBy === verb,
		asksOutsideDev: true,
		...others,
	});
}

function cleanVerb(spec: CleanSpec): Verb {
	return async (context, { options }: Invocation) => {
		const { output, stack } = context;
		const dryRun = Boolean(options.dryRun);
		const confirmation = {
			action: `${spec.verb} of stack ${stack}`,
			given: !spec.asksOutsideDev || stack === defaultStack || Boolean(options.yes && context.globals.stack),
			unattended: `./docker-dev.sh -s ${stack} ${spec.verb} --yes`,
		};
		if (!dryRun) requireAnswer(context, confirmation);
		await requireDocker(context.signal);
		const shown = await findRemoval(context, spec);
		if (isNothing(shown)) {
			output.data(stack, { dryRun, ...removalAsJson(shown, new Map()) });
			output.result(`Nothing to remove: ${nothingWord(spec)}.`);
			return;
		}
		const sizes = await measureVolumes(context, shown.volumes);
		const listing = removalTable(context, shown, sizes, output);
		const kept = (await findStackVolumes(context))
			.filter(({ key, found }) => found && !shown.volumes.some((volume) => volume.key === key))
			.map(({ name }) => name);
		if (dryRun) {
			output.data(stack, { dryRun, ...removalAsJson(shown, sizes), kept });
			output.result(`${listing}\n\nKept: ${kept.join(", ") || "no volume, for there is none"}`);
			output.progress(`Do it: ${context.command(spec.verb)}`);
			return;
		}
		output.progress(`stack ${stack}`);
		if (!confirmation.given) {
			const services = serviceList(shown);
			const down = services && `\n\nUntil ${context.command("start")} there is no ${services}.`;
			// Whoever is asked must see what about, also with --quiet.
			output.notice(`${listing}${down}\n`);
		}
		// Asked outside the lock: a question that nobody answers must not keep the nightly backup waiting.
		await confirm(context, confirmation);
		const removed = await withLock(context, spec.verb, async () => {
			// Things may have changed meanwhile.
			const now = await findRemoval(context, spec);
			await remove(context, now);
			return now;
		});
		output.data(stack, { dryRun, ...removalAsJson(removed, sizes), kept });
		output.result(
			`Removed ${summary(removed)}. ${kept.length > 0 ? `Kept: ${kept.join(", ")}` : ""}`.trimEnd(),
		);
		tellComeback(context, removed);
	};
}

function nothingWord({ volumes }: CleanSpec): string {
	return volumes
		? "its volume does not exist, and there are no log files"
		: "there are no containers and networks";
}

/** `1 volume, log files, 2 containers and 2 networks`. */
function summary({ volumes, logs, containers, networks }: Removal): string {
	const parts = [
		...(volumes.length > 0 ? [`${volumes.map(({ name }) => name).join(", ")}`] : []),
		...(logs.length > 0 ? ["the backend's log files"] : []),
		...(containers.length > 0 ? [count(containers.length, "container")] : []),
		...(networks.length > 0 ? [count(networks.length, "network")] : []),
	];
	return parts.join(", ").replace(/, ([^,]*)$/, " and $1");
}

function tellComeback({ output, command }: VerbContext, removed: Removal): void {
	const services = serviceList(removed);
	const volume = removed.volumes.length > 0 ? "an empty volume" : "";
	const what = [services, volume].filter(Boolean).join(", with ");
	if (what) output.progress(`Bring back ${what}: ${command("start")}`);
}

/** In the order in which they start. */
function serviceList({ containers }: Removal): string {
	return containers
		.map(({ service }) => service)
		.filter(Boolean)
		.reverse()
		.join(", ");
}
