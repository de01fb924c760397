/** Brings back directories of the host that the program made once and that were removed since. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { hostDirectories } from "../components/directories.ts";
import { appliedBy } from "../components/engine-in-use.ts";
import type { StackContext } from "../engine/stack-context.ts";

/**
 * Makes missing directories. A bind mount of a missing directory would fail, or be made by Docker as root's.
 * Before the first up there is nothing to do: the program makes them all.
 */
export async function ensureHostDirectories({ directories, settings }: StackContext): Promise<string[]> {
	if (!appliedBy(directories.state)) return [];
	const missing = hostDirectories(directories, settings).filter(([path]) => !existsSync(path));
	if (missing.length === 0) return [];
	const { readImageRecord, resolveBaseImages } = await import("../components/base-images.ts");
	const { backendUser } = await import("../components/backend-runtime.ts");
	const script = readFileSync(new URL("../components/scripts/make-directories.sh", import.meta.url), "utf8");
	await promisify(execFile)("sh", ["-c", script], {
		env: {
			...process.env,
			DIRECTORIES: missing.map(([path, mode]) => `${mode} ${path}`).join("\n"),
			BACKEND_LOGS: directories.backendLogs,
			BACKEND_USER: backendUser,
			HELPER_IMAGE: resolveBaseImages(settings, readImageRecord(directories.state)).images.postgres,
		},
	});
	return missing.map(([path]) => path);
}
