/** Docker itself: whether it answers, its version, and what its clean-up commands would take along. */
import { failureOf } from "../../failure.ts";
import type { DockerEngine, Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** Oldest engine that the stack has been run on. */
const oldestEngine = [20, 10] as const;
/** API of Docker 23.0: from it on a prune leaves named volumes alone unless told otherwise. */
const apiThatKeepsVolumes = [1, 42] as const;

export async function lookAtDocker(facts: Facts): Promise<Finding[]> {
	try {
		const found = await facts.engine();
		return [version(found), prune(found)];
	} catch (error) {
		const { message, fix } = failureOf(error);
		return [{ verdict: "fail", message, fix: fix ?? "docker version" }];
	}
}

function version({ engine, client, api }: DockerEngine): Finding {
	const message = `Engine ${engine} answers, client ${client}, API ${api.join(".")}`;
	const [major = 0, minor = 0] = engine.split(".").map(Number);
	if (isAtLeast([major, minor], oldestEngine)) return { verdict: "ok", message };
	return {
		verdict: "warn",
		message: `${message}; older than ${oldestEngine.join(".")}, the oldest that the stack was tried on`,
		fix: "install a newer one: https://docs.docker.com/engine/install/",
	};
}

/** What counts is the API that client and engine agree on: an old client gets the old behaviour. */
export function prune({ api }: Pick<DockerEngine, "api">): Finding {
	if (isAtLeast(api, apiThatKeepsVolumes)) {
		return {
			verdict: "ok",
			message:
				"docker system prune --volumes leaves the stack's volumes alone here; docker volume prune --all would not",
		};
	}
	return {
		verdict: "warn",
		message:
			"docker system prune --volumes and docker volume prune delete the data of a stopped stack here: before Docker 23.0 they take named volumes along",
		fix: "leave --volumes away (docker system prune), or bring client and engine to 23.0 or newer",
	};
}

function isAtLeast(found: readonly [number, number], wanted: readonly [number, number]): boolean {
	return found[0] > wanted[0] || (found[0] === wanted[0] && found[1] >= wanted[1]);
}
