/** `stack start`, `stop` and `restart`: the containers as they are, with no change of what the stack consists of. */
import type { ServiceName } from "../../components/catalogue.ts";
import type { Step } from "../../engine/engine.ts";
import { apply, openStackEngine, readyDocker, refuseSteps } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { type ServiceContainer, stackContainers } from "../docker.ts";
import { ensureHostDirectories } from "../host-directories.ts";
import { withLock } from "../lock.ts";
import { count } from "../output.ts";
import { bringsBack, changes } from "../plan.ts";
import { chosenServices, readTimeout, startContainers, stopContainers, waitForHealth } from "../services.ts";

/** Seconds to wait for health: the longest that the program itself waits at creation. */
const defaultTimeout = 300;

export async function start(context: VerbContext, { arguments: names, options }: Invocation): Promise<void> {
	const services = chosenServices(names);
	const seconds = readTimeout(options.timeout, defaultTimeout);
	await readyDocker(context);
	context.output.progress(`stack ${context.stack}`);
	await bringUp(context, services, seconds, "started");
}

export async function stop(context: VerbContext, { arguments: names }: Invocation): Promise<void> {
	const { output, stack } = context;
	const services = chosenServices(names);
	const containers = await ofServices(context, services);
	if (containers.length === 0) {
		output.data(stack, { stopped: [] });
		output.result(`Nothing to stop: ${absent(stack, names)}.`);
		return;
	}
	output.progress(`stack ${stack}`);
	const stopped = await withLock(context, "stop", () => stopContainers(containers, output, context.signal));
	output.data(stack, { stopped });
	output.result(
		stopped.length === 0
			? "Nothing to stop: not running."
			: `Stopped ${stopped.join(", ")}. Containers and data are kept.`,
	);
	output.progress(`Start again: ${context.command(["start", ...names].join(" "))}`);
}

export async function restart(
	context: VerbContext,
	{ arguments: names, options }: Invocation,
): Promise<void> {
	const services = chosenServices(names);
	const seconds = readTimeout(options.timeout, defaultTimeout);
	await readyDocker(context);
	const containers = await ofServices(context, services);
	context.output.progress(`stack ${context.stack}`);
	if (containers.length > 0) {
		await withLock(context, "restart", () => stopContainers(containers, context.output, context.signal));
	}
	await bringUp(context, services, seconds, "restarted");
}

/** Starts what is stopped, recreates what is missing, waits for health, and says what is pending. */
async function bringUp(
	context: VerbContext,
	services: readonly ServiceName[],
	seconds: number,
	done: string,
): Promise<void> {
	const { output, stack, signal } = context;
	const containers = await ofServices(context, services);
	const missing = services.filter((name) => !containers.some(({ service }) => service === name));
	const recreated = missing.length > 0;
	let started: readonly ServiceName[] = missing;
	if (recreated) {
		output.progress(`missing: ${missing.join(", ")}`);
		await apply(context, {
			operation: "start",
			refresh: true,
			approve: (plan) => refuseSteps(context, plan, bringsBack),
		});
	} else {
		started = await withLock(context, "start", async () => {
			for (const path of await ensureHostDirectories(context.load()))
				output.progress(`created   directory  ${path}`);
			return await startContainers(containers, output, signal);
		});
	}
	// The wait has time to spare, and a recreation has just compared everything.
	const unneeded = new AbortController();
	const pending = recreated
		? Promise.resolve([])
		: findPending(context, AbortSignal.any([signal, unneeded.signal]));
	const healthy = await waitForHealth(stack, services, { output, signal, seconds }).catch(async (error) => {
		unneeded.abort(error);
		await pending;
		throw error;
	});
	const steps = await pending;
	output.data(stack, {
		[done]: started,
		healthy: healthy.map(({ service }) => service),
		pendingChanges: steps.length,
	});
	const all = healthy.map(({ service }) => service).join(", ");
	output.result(started.length === 0 ? `Running and healthy already: ${all}` : `Running and healthy: ${all}`);
	if (steps.length > 0) {
		const verb = done === "started" ? "start" : "restart";
		output.warning(`${count(steps.length, "change")} pending, which ${verb} does not apply`);
		output.progress(
			`  ${context.command("preview").padEnd(40)} shows what would change\n  ${context.command("up").padEnd(40)} applies it`,
		);
	}
}

/** What an up would change. Not knowing is no reason to fail a start. */
async function findPending(context: VerbContext, signal: AbortSignal): Promise<Step[]> {
	try {
		const engine = await openStackEngine(context);
		return changes(await engine.preview({ signal }));
	} catch (error) {
		const [reason] = (error as Error).message.split("\n");
		if (!signal.aborted) context.output.progress(`pending changes were not looked for: ${reason}`);
		return [];
	}
}

async function ofServices(
	{ stack, signal }: VerbContext,
	services: readonly ServiceName[],
): Promise<ServiceContainer[]> {
	return (await stackContainers(stack, signal)).filter(({ service }) => services.includes(service));
}

function absent(stack: string, names: readonly string[]): string {
	return names.length === 0
		? `stack ${stack} has no containers`
		: `no container of ${names.join(", ")} in stack ${stack}`;
}
