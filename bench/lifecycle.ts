/** How long an operator waits for the verbs of a stack's life. */
import { setTimeout as sleep } from "node:timers/promises";
import Table from "cli-table3";
import { isPulumiInstalled } from "../engine/pulumi/pulumi-engine.ts";
import { BenchStack, docker } from "./bench-stack.ts";

/** Seconds aimed at on two cores, by the local engine. */
const aims = {
	"first up from nothing": undefined,
	"up, images present": 20,
	"up, nothing to do": 3,
	preview: 2,
	"stack --help": 0.15,
	"stack volumes --no-size": 0.4,
} as const;
type Measure = keyof typeof aims;

/** Repetitions of what is quick; the middle one counts. */
const repetitions = 5;

export async function benchLifecycle(): Promise<void> {
	console.log(`Lifecycle: wall clock from the start of ./docker-dev.sh to its end. Quick commands ${repetitions} times, the
middle and the range are given. "up" ends when every container is healthy and the smoke check has passed.\n`);
	const engines = isPulumiInstalled() ? (["local", "pulumi"] as const) : (["local"] as const);
	const columns: Partial<Record<Measure, string>>[] = [];
	let memory: [string, string][] = [];
	for (const engine of engines) {
		const stack = await BenchStack.create(engine);
		try {
			columns.push(measure(stack, engine === "local"));
			await sleep(20_000);
			memory = stack.idleMemory();
		} finally {
			stack.cleanUp();
		}
	}
	const table = new Table({
		head: ["seconds", "aim", ...engines.map((engine) => `${engine} engine`)],
		style: plain,
	});
	for (const [name, aim] of Object.entries(aims)) {
		table.push([name, aim ?? "-", ...columns.map((column) => column[name as Measure] ?? "-")]);
	}
	console.log(table.toString());
	console.log(
		'"first up from nothing": without base images, built images and build cache; Docker and packages installed.',
	);
	if (engines.length === 1) console.log("There is no pulumi on the PATH: its engine was not measured.");
	const idle = new Table({ head: ["container", "idle memory"], style: plain });
	idle.push(...memory);
	console.log(`\n${idle.toString()}`);
}

const plain = { head: [], border: [] };

function measure(stack: BenchStack, fromNothing: boolean): Partial<Record<Measure, string>> {
	const result: Partial<Record<Measure, string>> = {};
	if (fromNothing && removeImages()) {
		result["first up from nothing"] = once(() => stack.time("up"));
		stack.time("destroy", "--yes");
	} else {
		// Images and build cache as they are after any earlier up.
		stack.time("up");
		stack.time("destroy", "--yes");
	}
	result["up, images present"] = once(() => stack.time("up"));
	result["up, nothing to do"] = middle(() => stack.time("up"));
	result.preview = middle(() => stack.time("preview"));
	result["stack --help"] = middle(() => stack.time("--help"));
	result["stack volumes --no-size"] = middle(() => stack.time("volumes", "--no-size"));
	return result;
}

function once(run: () => number): string {
	return run().toFixed(1);
}

function middle(run: () => number): string {
	const seconds = Array.from({ length: repetitions }, run).sort((a, b) => a - b);
	const [low, mid, high] = [0, repetitions >> 1, repetitions - 1].map((index) =>
		(seconds[index] ?? 0).toFixed(2),
	);
	return `${mid} (${low}-${high})`;
}

/**
 * Removes what a first up would have to make: no container, no volume.
 *
 * @returns false where a container of somebody else needs the images: nothing is removed then.
 */
function removeImages(): boolean {
	const images = docker("image", "ls", "--quiet", "--filter", "reference=persistent-stack/stand-in-*");
	const ids = [...new Set(images.split("\n").filter((id) => id !== ""))];
	const users = ids.flatMap((id) =>
		docker("ps", "--all", "--quiet", "--filter", `ancestor=${id}`).split("\n"),
	);
	if (users.some((id) => id !== "")) {
		console.log(
			"Another stack on this host uses the base images: the first up from nothing is not measured.\n",
		);
		return false;
	}
	if (ids.length > 0) docker("image", "rm", "--force", ...ids);
	docker("builder", "prune", "--all", "--force");
	return true;
}
