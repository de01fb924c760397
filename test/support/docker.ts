import { execFileSync } from "node:child_process";

/** Runs `docker` and gives what it prints. */
export function docker(...args: string[]): string {
	return execFileSync("docker", args, {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "pipe"],
		maxBuffer: 1 << 28,
	}).trim();
}

/** Lines that `docker` prints. */
export function dockerLines(...args: string[]): string[] {
	return docker(...args)
		.split("\n")
		.filter((line) => line !== "");
}

/** Label that everything carries which a test makes. */
export const testLabel = "stack-test=1";

/** Names or ids of the test's objects of one kind. */
function testObjects(kind: "container" | "volume" | "network", filter: string): string[] {
	const all = kind === "container" ? ["--all"] : [];
	return dockerLines(kind, "ls", ...all, "--quiet", "--filter", filter);
}

/**
 * Removes containers, one after the other: before Docker 23.0 the engine can hang for good when several leave a
 * network at once (https://github.com/moby/moby/issues/46661).
 */
export function removeContainers(ids: readonly string[]): void {
	for (const id of ids) docker("rm", "--force", "--volumes", id);
}

/** Removes every object with the label, whatever state an earlier run left it in. */
export function removeLabelled(label: string): void {
	const filter = `label=${label}`;
	removeContainers(testObjects("container", filter));
	const volumes = testObjects("volume", filter);
	if (volumes.length > 0) docker("volume", "rm", "--force", ...volumes);
	const networks = testObjects("network", filter);
	if (networks.length > 0) docker("network", "rm", ...networks);
}

/** Everything of a stack that exists, one line each; empty when nothing is left. */
export function objectsOf(stack: string): string[] {
	const filter = `label=persistent-stack.owner=persistent-stack/${stack}`;
	return (["container", "volume", "network"] as const).flatMap((kind) =>
		testObjects(kind, filter).map((name) => `${kind} ${name}`),
	);
}

/** Repeats a command until it succeeds, for a minute at most. */
export function waitFor(command: () => unknown): void {
	const deadline = Date.now() + 60_000;
	for (;;) {
		try {
			command();
			return;
		} catch (error) {
			if (Date.now() > deadline) throw error;
			execFileSync("sleep", ["0.3"]);
		}
	}
}
