import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where an engine listens when nobody says otherwise. */
export const defaultHost = "unix:///var/run/docker.sock";

/**
 * The engine's address as the `docker` program would choose it: DOCKER_HOST, else the context of
 * DOCKER_CONTEXT or of the configuration file, else the default socket.
 *
 * A context that is named but cannot be read counts as none.
 */
export function dockerHost(environment: NodeJS.ProcessEnv = process.env): string {
	if (environment.DOCKER_HOST) return environment.DOCKER_HOST;
	const folder = environment.DOCKER_CONFIG || join(homedir(), ".docker");
	const configuration = readJson(join(folder, "config.json")) as { currentContext?: string } | undefined;
	const context = environment.DOCKER_CONTEXT || configuration?.currentContext || "default";
	if (context === "default") return defaultHost;
	// Docker files its contexts under the hash of their names.
	const name = createHash("sha256").update(context).digest("hex");
	const meta = readJson(join(folder, "contexts", "meta", name, "meta.json")) as
		| { Endpoints?: { docker?: { Host?: string } } }
		| undefined;
	return meta?.Endpoints?.docker?.Host || defaultHost;
}

function readJson(path: string): unknown {
	try {
		return JSON.parse(readFileSync(path, "utf8"));
	} catch {
		return undefined;
	}
}
