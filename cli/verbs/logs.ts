/** `stack logs`: what services wrote, merged by time; with --follow as it comes. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Invocation, VerbContext } from "../context.ts";
import { type ServiceContainer, stackContainers } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { schemaVersion } from "../output.ts";
import { chosenServices } from "../services.ts";

interface Line {
	readonly service: string;
	/** RFC 3339 with nanoseconds, so that text order is time order. */
	readonly time: string;
	readonly text: string;
}

const colors = ["cyan", "yellow", "green", "magenta", "blue"] as const;

export async function logs(context: VerbContext, { arguments: names, options }: Invocation): Promise<void> {
	const { stack, signal } = context;
	const services = chosenServices(names);
	const { follow, tail, since } = options as { follow?: boolean; tail?: string; since?: string };
	if (tail !== undefined && !/^(all|\d+)$/.test(tail)) {
		throw new StackError(`--tail ${tail} is not a number of lines`, {
			exitCode: exitCodes.usage,
			fix: "such as --tail 100",
		});
	}
	const containers = (await stackContainers(stack, signal)).filter(({ service }) =>
		services.includes(service),
	);
	const lacking = names.filter((name) => !containers.some(({ service }) => service === name));
	if (lacking.length > 0 || containers.length === 0) {
		const what = lacking.length > 0 ? `no container of ${lacking.join(", ")}` : "no containers";
		throw new StackError(`stack ${stack} has ${what}, so there are no logs`, { fix: context.command("up") });
	}
	const args = [
		...(follow ? ["--follow"] : []),
		...(tail === undefined ? [] : ["--tail", tail]),
		...(since === undefined ? [] : ["--since", since]),
	];
	const readers = containers.map((container) => openLog(container, args));
	const stop = () => {
		for (const { child } of readers) child.kill();
	};
	signal.addEventListener("abort", stop, { once: true });
	const write = writer(context, containers, Boolean(options.timestamps));
	try {
		if (follow) await Promise.all(readers.map(async ({ lines }) => consume(lines, write)));
		else
			await merge(
				readers.map(({ lines }) => lines),
				write,
			);
		signal.throwIfAborted();
	} finally {
		stop();
	}
}

/** Writes a line; resolves when the reader behind stdout can take more. */
type Write = (line: Line) => Promise<void>;

function writer(
	{ output, stack }: VerbContext,
	containers: readonly ServiceContainer[],
	timestamps: boolean,
): Write {
	const width = Math.max(...containers.map(({ service }) => service.length));
	const format = ({ service, time, text }: Line) => {
		if (output.json) return JSON.stringify({ schemaVersion, stack, service, time, line: text });
		const index = containers.findIndex((container) => container.service === service);
		const color = colors[index % colors.length] ?? "cyan";
		const prefix = containers.length > 1 ? `${output.style(color, `${service.padEnd(width)} |`)} ` : "";
		return `${prefix}${timestamps ? `${time} ` : ""}${text}`;
	};
	return async (line) => {
		if (!process.stdout.write(`${format(line)}\n`))
			await new Promise((drained) => process.stdout.once("drain", drained));
	};
}

/** The two streams of a container in one, as they were written: apart, one could block the other. */
function openLog(
	{ id, service }: ServiceContainer,
	args: readonly string[],
): { child: ChildProcess; lines: AsyncIterator<Line> } {
	const command = ["logs", "--timestamps", ...args, id];
	const child = spawn("sh", ["-c", 'exec docker "$@" 2>&1', "sh", ...command], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	return { child, lines: readLines(service, child.stdout as Readable) };
}

async function* readLines(service: string, stream: Readable): AsyncGenerator<Line, undefined> {
	for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
		const space = line.indexOf(" ");
		const isTimed = /^\d{4}-\d\d-\d\dT/.test(line);
		if (isTimed)
			yield {
				service,
				time: space < 0 ? line : line.slice(0, space),
				text: space < 0 ? "" : line.slice(space + 1),
			};
		else yield { service, time: "", text: line };
	}
	return undefined;
}

async function consume(lines: AsyncIterator<Line>, write: Write): Promise<void> {
	for (let next = await lines.next(); !next.done; next = await lines.next()) await write(next.value);
}

/** Always writes the earliest of the next lines. */
async function merge(sources: readonly AsyncIterator<Line>[], write: Write): Promise<void> {
	const heads = await Promise.all(sources.map((source) => source.next()));
	for (;;) {
		let earliest = -1;
		for (const [index, head] of heads.entries()) {
			if (head.done) continue;
			const best = heads[earliest];
			if (!best || best.done || head.value.time < best.value.time) earliest = index;
		}
		const head = heads[earliest];
		const source = sources[earliest];
		if (!head || head.done || !source) return;
		await write(head.value);
		heads[earliest] = await source.next();
	}
}
