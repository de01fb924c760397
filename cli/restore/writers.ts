/** The services that use what is replaced: stopped for the swap, started again as they were. */
import type { ServiceName } from "../../components/catalogue.ts";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import type { VerbContext } from "../context.ts";
import { docker, type ServiceContainer, stackContainers } from "../docker.ts";
import { timed, waitForHealth } from "../services.ts";

/** Who has to be away while a target is replaced. The backup container only reads, and only under the lock. */
const usersOf: Readonly<Record<RestoreTarget, readonly ServiceName[]>> = {
	database: ["backend"],
	media: ["backend", "proxy"],
	static: ["backend", "proxy"],
	redis: ["backend", "redis"],
};

/** Seconds for a store to answer after its start; a database may have to recover first. */
const storeSeconds = 120;

/** Whether Docker keeps it running. */
export function isRunning({ state }: Pick<ServiceContainer, "state">): boolean {
	return state === "running" || state === "restarting" || state === "paused";
}

function isStore({ service }: Pick<ServiceContainer, "service">): boolean {
	return service === "db" || service === "redis";
}

/** The services that use the targets, in the order in which they start. */
export function usersOfTargets(targets: readonly RestoreTarget[], rebuild = false): ServiceName[] {
	const users = new Set(targets.flatMap((target) => usersOf[target]));
	if (rebuild) users.add("db");
	return (["db", "redis", "backend", "proxy"] as const).filter((service) => users.has(service));
}

/** The containers of these services. */
export async function containersOf(
	{ stack }: VerbContext,
	services: readonly ServiceName[],
): Promise<ServiceContainer[]> {
	return (await stackContainers(stack)).filter(({ service }) => services.includes(service));
}

/**
 * Stops them one after the other, each in the time that its container gives it: the proxy first, whose requests the
 * backend still answers, the database and Redis after those who still write to them. Not at once: before Docker 23.0
 * the engine can hang for good when several containers leave a network at the same time
 * (https://github.com/moby/moby/issues/46661).
 */
export async function stopServices(context: VerbContext, services: readonly ServiceName[]): Promise<void> {
	const running = (await containersOf(context, services)).filter(isRunning);
	if (running.length === 0) return;
	await timed(context.output, "stopped", "services", names(running), async () => {
		for (const stores of [false, true]) {
			for (const { id } of running.filter((container) => isStore(container) === stores).toReversed())
				await docker(["stop", id]);
		}
	});
}

/** Starts them, the stores first, and waits for nothing. What has no container any more is left to `start`. */
export async function startServices(context: VerbContext, services: readonly ServiceName[]): Promise<void> {
	const stopped = (await containersOf(context, services)).filter((container) => !isRunning(container));
	if (stopped.length === 0) return;
	await timed(context.output, "started", "services", names(stopped), async () => {
		for (const stores of [true, false]) {
			const group = stopped.filter((container) => isStore(container) === stores);
			await Promise.all(group.map(({ id }) => docker(["start", id])));
		}
	});
}

/** Waits until they answer their own tests. @throws StackError with exit code 6. */
export async function awaitAnswers(
	{ stack, output, signal }: VerbContext,
	services: readonly ServiceName[],
	seconds: number,
): Promise<void> {
	if (services.length > 0) await waitForHealth(stack, services, { output, signal, seconds, probe: true });
}

function names(containers: readonly ServiceContainer[]): string {
	return containers.map(({ service }) => service).join(", ");
}

/**
 * Runs `work` with the stores that a restore needs, and stops again those that did not run before.
 *
 * @throws StackError when one does not start: then nothing was restored.
 */
export async function withStores<T>(
	context: VerbContext,
	{ rebuild, safetyBackup }: { rebuild: boolean; safetyBackup: boolean },
	work: () => Promise<T>,
): Promise<T> {
	if (rebuild) return await work();
	const needed: readonly ServiceName[] = safetyBackup ? ["db", "redis", "backup"] : ["db"];
	const before = await containersOf(context, needed);
	const stopped = before.filter((container) => !isRunning(container)).map(({ service }) => service);
	if (stopped.length === 0) return await work();
	try {
		await startServices(context, stopped);
		await awaitAnswers(context, stopped, storeSeconds);
		return await work();
	} finally {
		await stopServices(context, stopped);
	}
}
