/** Starting, stopping and waiting for the containers of services. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceName, serviceNames } from "../components/catalogue.ts";
import { commandLine } from "./context.ts";
import { docker, type ServiceContainer, stackContainers } from "./docker.ts";
import { exitCodes, StackError } from "./errors.ts";
import { duration, type Output } from "./output.ts";

/** Restarts after which a service that ends again and again counts as failed. */
const toleratedRestarts = 2;
/** Lines of a container's log that an error shows. */
const shownLines = 20;
/** Seconds in which a service that was ill before may recover: what it lacked may only just have come back. */
const recoverySeconds = 30;
/** Milliseconds between two looks. */
const pollInterval = 300;
/** Milliseconds between two looks where the service's own test is run, and somebody is kept waiting. */
const probeInterval = 50;

/**
 * The services that the arguments name, all of them where none is named, in the order in which they start.
 *
 * @throws StackError naming the known ones.
 */
export function chosenServices(names: readonly string[]): ServiceName[] {
	const unknown = names.filter((name) => !(serviceNames as readonly string[]).includes(name));
	if (unknown.length > 0) {
		throw new StackError(`there is no service ${unknown.join(", ")}`, {
			exitCode: exitCodes.usage,
			fix: `use one of: ${serviceNames.join(", ")}`,
		});
	}
	return serviceNames.filter((name) => names.length === 0 || names.includes(name));
}

/** Seconds of --timeout. @throws StackError when it is no number of them. */
export function readTimeout(given: unknown, otherwise: number): number {
	if (given === undefined) return otherwise;
	if (typeof given === "string" && /^[1-9]\d{0,5}$/.test(given)) return Number(given);
	throw new StackError(`--timeout ${String(given)} is not a number of seconds`, {
		exitCode: exitCodes.usage,
		fix: "write a whole number, such as --timeout 120",
	});
}

/** Starts what does not run, in the given order. Returns the services that it started. */
export async function startContainers(
	containers: readonly ServiceContainer[],
	output: Output,
	signal: AbortSignal,
): Promise<ServiceName[]> {
	const started: ServiceName[] = [];
	for (const { name, service, state } of containers) {
		if (state === "running" || state === "restarting") continue;
		signal.throwIfAborted();
		await timed(output, "started", "container", name, () =>
			docker([state === "paused" ? "unpause" : "start", name]),
		);
		started.push(service);
	}
	return started;
}

/** Stops what runs, last started first, each in the time its container gives it. Returns what it stopped. */
export async function stopContainers(
	containers: readonly ServiceContainer[],
	output: Output,
	signal: AbortSignal,
): Promise<ServiceName[]> {
	const stopped: ServiceName[] = [];
	for (const { name, service, state } of containers.toReversed()) {
		if (state !== "running" && state !== "restarting" && state !== "paused") continue;
		signal.throwIfAborted();
		await timed(output, "stopped", "container", name, () => docker(["stop", name]));
		stopped.push(service);
	}
	return stopped;
}

/**
 * Whether the container does its work: it runs, and is healthy where it can say so. The backup sidecar's health
 * tells the age of the newest recovery point, which `status` shows in a line of its own.
 */
export function isWell({
	service,
	state,
	health,
}: Pick<ServiceContainer, "service" | "state" | "health">): boolean {
	return state === "running" && (service === "backup" || health === "healthy" || health === "none");
}

export interface HealthWait {
	readonly output: Output;
	readonly signal: AbortSignal;
	/** In which all of them must be healthy. */
	readonly seconds: number;
	/**
	 * Whether each one's own test is run at once and again, in place of waiting for the next time that Docker
	 * runs it, which may be seconds away. @default false
	 */
	readonly probe?: boolean;
}

/** Where the proxy really listens; undefined where it does not. */
export function addressOf(containers: readonly ServiceContainer[]): string | undefined {
	const [port] =
		containers.find(({ service, state }) => service === "proxy" && state === "running")?.ports ?? [];
	return (
		port && `http://${port.replace(/^(0\.0\.0\.0|::):/, "127.0.0.1:").replace(/^(.*:.*):(\d+)$/, "[$1]:$2")}`
	);
}

/**
 * Waits until the services are healthy.
 *
 * @throws StackError with the end of the log of the first that is not, exit code 6.
 */
export async function waitForHealth(
	stack: string,
	services: readonly ServiceName[],
	{ output, signal, seconds, probe = false }: HealthWait,
): Promise<ServiceContainer[]> {
	const started = Date.now();
	let waiting: string[] = [...services];
	let illBefore: ReadonlySet<string> | undefined;
	output.underWay(
		() => `waiting for ${waiting.join(", ")} to be healthy  ${duration((Date.now() - started) / 1000)}`,
	);
	try {
		for (;;) {
			const containers = (await stackContainers(stack, signal)).filter(({ service }) =>
				services.includes(service),
			);
			let unwell = containers.filter((container) => !isWell(container));
			if (probe) {
				const passed = await Promise.all(unwell.map((container) => passesTest(container, signal)));
				unwell = unwell.filter((_, index) => !passed[index]);
			}
			if (unwell.length === 0) return containers;
			waiting = unwell.map(({ service }) => service);
			illBefore ??= new Set(unwell.filter(isIll).map(({ id }) => id));
			const waited = Date.now() - started;
			const mayRecover = ({ id }: ServiceContainer) => illBefore?.has(id) && waited < recoverySeconds * 1000;
			const lost =
				unwell.find((container) => hasEnded(container) || (isIll(container) && !mayRecover(container))) ??
				(waited > seconds * 1000 ? unwell[0] : undefined);
			if (lost) throw await unhealthy(stack, lost, (Date.now() - started) / 1000);
			await sleep(probe ? probeInterval : pollInterval, undefined, { signal }).catch(() =>
				signal.throwIfAborted(),
			);
		}
	} finally {
		output.underWay(undefined);
	}
}

/** Whether a service that Docker has not judged yet passes its own test, run as Docker would run it. */
async function passesTest(
	{ id, state, health, healthTest }: ServiceContainer,
	signal: AbortSignal,
): Promise<boolean> {
	if (state !== "running" || health !== "starting") return false;
	const [form, ...words] = healthTest;
	const command = form === "CMD-SHELL" ? ["sh", "-c", ...words] : words;
	try {
		await docker(["exec", id, ...command], signal);
		return true;
	} catch {
		signal.throwIfAborted();
		return false;
	}
}

function hasEnded({ state, restarts }: ServiceContainer): boolean {
	return state === "exited" || state === "dead" || restarts > toleratedRestarts;
}

function isIll({ service, health }: ServiceContainer): boolean {
	return health === "unhealthy" && service !== "backup";
}

async function unhealthy(stack: string, container: ServiceContainer, seconds: number): Promise<StackError> {
	const { name, service, state, health, exitCode, restarts } = container;
	const how =
		state === "running" && restarts <= toleratedRestarts
			? `is ${health} after ${duration(seconds)}`
			: state === "running" || state === "restarting"
				? `ends again and again, last with exit code ${exitCode}`
				: `ended with exit code ${exitCode}`;
	return new StackError(
		`${service} (container ${name}) ${how}. Its last lines:\n${await lastLines(container)}`,
		{
			exitCode: exitCodes.unhealthy,
			fix: `correct the cause, then ${commandLine(stack, `start ${service}`)}; its whole log: ${commandLine(stack, `logs ${service}`)}`,
		},
	);
}

/** The end of what the container has written since its last start, both streams as they were written. */
export function lastLines({ id, startedAt }: ServiceContainer): Promise<string> {
	// A process may write before Docker has noted that it runs.
	const since = new Date(startedAt.getTime() - 500).toISOString();
	const script = 'exec docker logs --since "$1" --tail "$2" "$3" 2>&1';
	return new Promise((done) => {
		const args = ["-c", script, "sh", since, String(shownLines), id];
		execFile("sh", args, (_error, text) => {
			const lines = text.trimEnd().split("\n").slice(-shownLines);
			done(lines.map((line) => `    ${line}`).join("\n"));
		});
	});
}

/** Shows a step while it is under way, and in a line when it is done. */
export async function timed(
	output: Output,
	done: string,
	kind: string,
	what: string,
	work: () => Promise<unknown>,
): Promise<void> {
	const started = performance.now();
	output.underWay(() => `… ${what}  ${duration((performance.now() - started) / 1000)}`);
	try {
		await work();
	} finally {
		output.underWay(undefined);
	}
	output.progress(
		`${done.padEnd(9)} ${kind.padEnd(10)} ${what}  ${output.styleMessage("dim", duration((performance.now() - started) / 1000))}`,
	);
}
