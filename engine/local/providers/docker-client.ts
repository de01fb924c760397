import { execFileSync } from "node:child_process";
import Docker from "dockerode";
import { UnreachableError } from "../../errors.ts";

let client: Docker | undefined;

/** The Docker API at DOCKER_HOST, else at the current context's host. */
export function dockerClient(): Docker {
	client ??= new Docker(process.env.DOCKER_HOST ? undefined : contextHost());
	return client;
}

/** Docker Desktop and rootless engines listen elsewhere than the default socket, and the context says where. */
function contextHost(): Docker.DockerOptions | undefined {
	try {
		const host = execFileSync("docker", ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], {
			encoding: "utf8",
			stdio: ["ignore", "pipe", "ignore"],
		}).trim();
		if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
	} catch {
		// Without a docker command there is no context: the default socket it is.
	}
	return undefined;
}

/** The result, or undefined where Docker says that there is no such object. */
export async function orMissing<T>(request: Promise<T>): Promise<T | undefined> {
	try {
		return await request;
	} catch (error) {
		const { statusCode, code } = error as { statusCode?: number; code?: string };
		if (statusCode === 404) return undefined;
		if (code === "ECONNREFUSED" || code === "ENOENT" || code === "EACCES") {
			throw new UnreachableError(
				`Docker does not answer (${code}); start the Docker Engine, or set DOCKER_HOST.`,
			);
		}
		throw error;
	}
}

/** Labels as the provider takes them, as Docker's map. */
export function labelMap(
	labels: readonly { label: string; value: string }[] | undefined,
): Record<string, string> {
	return Object.fromEntries((labels ?? []).map(({ label, value }) => [label, value]));
}
