/** `stack up`: creates the stack, or applies what changed. */
import { serviceNames } from "../../components/catalogue.ts";
import { appliedBy } from "../../components/engine-in-use.ts";
import { type Applied, apply, changesAsJson, readyDocker } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { isRemote, stackContainers } from "../docker.ts";
import { exitCodes } from "../errors.ts";
import { changes } from "../plan.ts";
import { dockerHost } from "../setup/docker-host.ts";
import { preview } from "./preview.ts";

export async function up(context: VerbContext, invocation: Invocation): Promise<number> {
	if (invocation.options.dryRun) return await preview(context, invocation);
	await readyDocker(context);
	const refresh = Boolean(invocation.options.refresh) || (await hasLostContainers(context));
	const backup = invocation.options.backup !== false;
	tellResult(context, await apply(context, { operation: "up", refresh, backup }));
	return exitCodes.done;
}

/** What stands after an apply, as the result, and what may be done next. */
export function tellResult(context: VerbContext, applied: Applied): void {
	const { output, command, stack } = context;
	const { url } = applied.outputs;
	output.data(stack, {
		engine: applied.engine,
		seconds: applied.seconds,
		changes: changesAsJson(applied.plan),
		outputs: applied.outputs,
		backup: applied.backup ?? null,
	});
	output.result(
		changes(applied.plan).length === 0
			? `Nothing changed. The application answers at ${url}`
			: `The application answers at ${url}`,
	);
	output.progress(`
  ${command("status").padEnd(40)} how the services are
  ${command("volumes").padEnd(40)} where the data is
  ${command("logs -f").padEnd(40)} what the services write`);
}

/** An engine trusts its record: what was stopped or removed by hand comes back only when it looks first. */
export async function hasLostContainers(context: VerbContext): Promise<boolean> {
	if (isRemote(dockerHost()) || !appliedBy(context.load().directories.state)) return false;
	const containers = await stackContainers(context.stack, context.signal);
	const lost = serviceNames.filter(
		(name) => !containers.some(({ service, state }) => service === name && state === "running"),
	);
	if (lost.length > 0)
		context.output.progress(`not running: ${lost.join(", ")}; looking at what really exists`);
	return lost.length > 0;
}
