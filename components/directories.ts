/** Where a stack's files lie, relative to the directory of Pulumi.yaml. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { StackSettings } from "./settings.ts";

/** Directory of this program; the project directory may be another one that names it as `main`. */
export const programDirectory = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

export interface StackDirectories {
	/** State, lock and records of the stack; mode 700, git-ignored. */
	readonly state: string;
	/** Recovery points. */
	readonly backups: string;
	/** The backend's log files. */
	readonly backendLogs: string;
	readonly backendContext: string;
	readonly backendDockerfile: string;
	readonly frontendContext: string;
	readonly frontendDockerfile: string;
	/** File in which the offsite credentials are looked up, on the machine that runs up. */
	readonly offsiteCredentials: string;
}

/** Absolute directories of a stack. */
export function stackDirectories(project: string, stack: string, settings: StackSettings): StackDirectories {
	/** A path of the project; the program's own where the project has none of that name. */
	const source = (path: string) => {
		const inProject = resolve(project, path);
		return existsSync(inProject) ? inProject : resolve(programDirectory, path);
	};
	return {
		state: stateDirectory(project, stack),
		backups: resolve(project, settings.backupDirectory),
		// Two stacks of one project must not write into the same files.
		backendLogs: join(project, "backend", stack === "dev" ? "logs" : `logs-${stack}`),
		backendContext: source(settings.backendContext),
		backendDockerfile: source(settings.backendDockerfile),
		frontendContext: source(settings.frontendContext),
		frontendDockerfile: source(settings.frontendDockerfile),
		offsiteCredentials: resolve(project, settings.offsiteCredentialsFile.replace(/^~(?=\/)/, homedir())),
	};
}

export function stateDirectory(project: string, stack: string): string {
	return join(project, ".stack", stack);
}

/** Directories that a bind mount needs on the host, with the modes they get when they are made. */
export function hostDirectories(
	directories: StackDirectories,
	settings: StackSettings,
): [path: string, mode: string][] {
	const mountPoints = [
		...["media", "staticfiles", "logs"].map((name) => join(directories.backendContext, name)),
		join(directories.frontendContext, "node_modules"),
	];
	return [
		[directories.backups, "700"],
		[directories.backendLogs, "755"],
		// Docker would make a missing mount point itself, owned by root, in the middle of the source.
		...(settings.mode === "development" ? mountPoints.map((path): [string, string] => [path, "755"]) : []),
	];
}
