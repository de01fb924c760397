/** The services: each has a container that runs and is well. */
import { type ServiceName, serviceNames } from "../../../components/catalogue.ts";
import type { ServiceContainer } from "../../docker.ts";
import { count } from "../../output.ts";
import { isWell, lastLines } from "../../services.ts";
import { recognised } from "../cases.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** What PostgreSQL, or its start script, says of files that it cannot work with. */
const damage =
	/PostgreSQL cannot open the data|PANIC:|could not locate a valid checkpoint|invalid (primary )?checkpoint|is not a (database cluster|valid data) directory|control file|incorrect checksum|could not (open|read) (file|directory) "(?:base|global|pg_\w+)|invalid page in block/i;

export async function lookAtServices(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const containers = await facts.containers();
	if (containers.length === 0) {
		return [
			{
				verdict: "warn",
				message: `stack ${context.stack} has no containers; its data is not touched by that`,
				fix: context.command(facts.appliedBy ? "start" : "up"),
			},
		];
	}
	const findings: Finding[] = [];
	const database = containers.find(({ service }) => service === "db");
	if (!database || !isWell(database)) findings.push(await databaseTrouble(facts, database));
	const others = serviceNames.filter((name) => name !== "db");
	const unwell = others
		.map((service) => ({ service, container: containers.find((one) => one.service === service) }))
		.filter(({ container }) => !container || !isWell(container));
	const ill = unwell.filter(({ container }) => container && isIll(container));
	const absent = unwell.filter((one) => !ill.includes(one));
	if (absent.length > 0) {
		findings.push({
			verdict: "fail",
			message: `not running: ${absent.map(({ service, container }) => `${service} (${stateOf(container)})`).join(", ")}`,
			fix: context.command("start"),
		});
	}
	for (const { service, container } of ill) findings.push(illness(facts, service, container));
	if (findings.length > 0) return findings;
	return [{ verdict: "ok", message: `all ${count(serviceNames.length, "service")} run and are healthy` }];
}

/** Why a container is not at work, in Docker's words. */
function stateOf(container: ServiceContainer | undefined): string {
	if (!container) return "it has no container";
	const { state, exitCode, health } = container;
	if (state === "exited") return `stopped, exit code ${exitCode}`;
	return state === "running" ? health : state;
}

/** Runs, or is run again and again, and does not do its work. */
function isIll({ state }: ServiceContainer): boolean {
	return state === "running" || state === "restarting" || state === "dead";
}

function illness({ context }: Facts, service: ServiceName, container: ServiceContainer | undefined): Finding {
	const isStarting = container?.state === "running" && container.health === "starting";
	return {
		verdict: isStarting ? "warn" : "fail",
		message: isStarting ? `${service} is still starting` : `${service} is not well (${stateOf(container)})`,
		fix: context.command(isStarting ? "status" : `logs ${service} --tail 50`),
	};
}

/** The database is needed by everything else, and may have damaged files. */
async function databaseTrouble(facts: Facts, container: ServiceContainer | undefined): Promise<Finding> {
	const { context } = facts;
	const failed =
		container && (isIll(container) || (container.state === "exited" && container.exitCode !== 0));
	if (failed) {
		const said = (await lastLines(container)).split("\n").map((line) => line.trim());
		const cause = said.find((line) => damage.test(line));
		if (cause) return recognised(context, "database-damaged", cause.replace(/\s+/g, " "));
		if (isIll(container)) return illness(facts, "db", container);
	}
	return recognised(context, "database-not-running", stateOf(container));
}
