/** What the Docker host already has, read before anything is planned. Through `docker`, so contexts and ssh work. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { labelKeys } from "./identity.ts";
import { RunError } from "./run-error.ts";

const run = promisify(execFile);

export interface FoundVolume {
	readonly name: string;
	/** Value of the owner label; empty for a stranger's. */
	readonly owner: string;
	/** Catalogue key; empty for a stranger's. */
	readonly key: string;
}

export interface FoundContainer {
	readonly name: string;
	readonly owner: string;
	readonly running: boolean;
	/** Names of the volumes it mounts. */
	readonly mounts: readonly string[];
	/** Published ports as `docker ps` prints them. */
	readonly ports: string;
}

export interface DockerHost {
	/** Platform of its images, such as linux/amd64. */
	readonly platform: string;
	readonly volumes: readonly FoundVolume[];
	readonly containers: readonly FoundContainer[];
}

/**
 * Reads the host.
 *
 * @throws RunError that says so when Docker does not answer.
 */
export async function readDockerHost(): Promise<DockerHost> {
	const label = (key: string) => `{{.Label "${key}"}}`;
	const [platform, volumes, containers] = await Promise.all([
		rows(["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]),
		rows(["volume", "ls", "--format", `{{.Name}}\t${label(labelKeys.owner)}\t${label(labelKeys.volume)}`]),
		rows([
			...["ps", "--all", "--no-trunc", "--format"],
			`{{.Names}}\t${label(labelKeys.owner)}\t{{.State}}\t{{.Mounts}}\t{{.Ports}}`,
		]),
	]);
	return {
		platform: platform[0]?.[0] ?? "linux/amd64",
		volumes: volumes.map(([name = "", owner = "", key = ""]) => ({ name, owner, key })),
		containers: containers.map(([name = "", owner = "", state, mounts = "", ports = ""]) => ({
			name,
			owner,
			running: state === "running" || state === "paused" || state === "restarting",
			mounts: mounts.split(","),
			ports,
		})),
	};
}

async function rows(args: string[]): Promise<string[][]> {
	try {
		const { stdout } = await run("docker", args, { maxBuffer: 64 * 1024 * 1024 });
		return stdout
			.split("\n")
			.filter((line) => line !== "")
			.map((line) => line.split("\t"));
	} catch (error) {
		const { code, stderr } = error as NodeJS.ErrnoException & { stderr?: string };
		const reason =
			code === "ENOENT" ? "there is no docker command on the PATH" : (stderr ?? String(error)).trim();
		throw new RunError(
			`Docker does not answer: ${reason}\nNothing was changed. Start the Docker Engine, or set DOCKER_HOST.`,
		);
	}
}
