/** `stack rebuild`: builds images anew where their source changed, and replaces their containers. */
import type { ServiceName } from "../../components/catalogue.ts";
import type { Step } from "../../engine/engine.ts";
import { apply, readyDocker, refuseSteps } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { exitCodes, StackError } from "../errors.ts";
import { chosenServices } from "../services.ts";
import { hasLostContainers, tellResult } from "./up.ts";

/** Services with an image of their own; the others run official images. */
const builtServices: readonly ServiceName[] = ["backend", "frontend"];

export async function rebuild(
	context: VerbContext,
	{ arguments: names, options }: Invocation,
): Promise<void> {
	const services = names.length > 0 ? chosenServices(names) : builtServices;
	requireBuilt(context, names.length > 0 ? services : []);
	await readyDocker(context);
	const refresh = await hasLostContainers(context);
	const applied = await apply(context, {
		operation: "rebuild",
		refresh,
		backup: options.backup !== false,
		approve: (plan) => {
			if (names.length > 0) refuseSteps(context, plan, (step) => concerns(step, services));
		},
	});
	tellResult(context, applied);
}

function requireBuilt(context: VerbContext, services: readonly ServiceName[]): void {
	const { settings } = context.load();
	const finished = { backend: settings.backendImage, frontend: settings.frontendImage } as Record<
		string,
		string
	>;
	for (const service of services) {
		if (builtServices.includes(service) && !finished[service]) continue;
		const image = finished[service] ? `: it runs ${finished[service]}` : "";
		throw new StackError(`${service} has no image that is built here${image}; nothing was done`, {
			exitCode: exitCodes.usage,
			fix: `name another image in Pulumi.${context.stack}.yaml and run ${context.command("up")}`,
		});
	}
}

/** The service's image and container, and what runs because they changed; a missing container of any service. */
function concerns({ name, operation }: Step, services: readonly ServiceName[]): boolean {
	if (operation === "create" || /^stack-((smoke|destroy-guard)-|backup-images$)/.test(name)) return true;
	if (services.includes("backend") && name.startsWith("stack-migrations-")) return true;
	return services.some(
		(service) => name === `stack-images-${service}` || name === `stack-${service}-container`,
	);
}
