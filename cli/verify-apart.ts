/**
 * Reading encrypted recovery points with a private key. The key never gets into the backup container, which
 * must not be able to decrypt: it is used on the host, or in a container of its own without a network.
 */
import { execFile } from "node:child_process";
import { backupPolicy } from "../components/backup-policy.ts";
import { databaseUser, labelKeys, ownerOf } from "../components/identity.ts";
import type { DrillRecord } from "../recovery/drill-file.ts";
import type { VerifyResult } from "../recovery/verify.ts";
import { type AgentOutcome, collect } from "./agent.ts";
import type { VerbContext } from "./context.ts";
import type { ServiceContainer } from "./docker.ts";
import { exitCodes, StackError } from "./errors.ts";

/** Where such a container has the key. */
const keyMount = "/run/identity";

/** Enough for a database server that loads a dump; the cache of its files makes room by itself. */
const drillMemory = "512m";

/** A docker command up to the image: a container with the directory and the key, and little else. */
function isolated(context: VerbContext, directory: string, identity: string | undefined): string[] {
	return [
		...["run", "--rm", "--init", "--interactive", "--network", "none", "--read-only", "--tmpfs", "/tmp"],
		...["--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
		...["DAC_READ_SEARCH", "SETGID", "SETUID"].flatMap((capability) => ["--cap-add", capability]),
		...["--label", `${labelKeys.owner}=${ownerOf(context.stack)}`],
		...["--mount", `type=bind,source=${directory},target=/backups`],
		...(identity ? ["--mount", `type=bind,source=${identity},target=${keyMount},readonly`] : []),
	];
}

/** Runs the agent's drill in a container of its own; what it restores goes into a volume that ends with it. */
export async function drillApart(
	context: VerbContext,
	container: ServiceContainer,
	directory: string,
	file: string | undefined,
	identity: string | undefined,
): Promise<AgentOutcome<DrillRecord>> {
	const { stack } = context;
	const config = backupPolicy(stack, context.load().settings);
	const command = [
		...isolated(context, directory, identity),
		...["--mount", "type=volume,target=/scratch", "--memory", drillMemory, "--memory-swap", drillMemory],
		...["--env", `AGENT_CONFIG=${JSON.stringify(config)}`, "--env", `DATABASE_USER=${databaseUser}`],
		...[container.imageId, "drill", ...(file ? [file] : [])],
		...[...(identity ? ["--identity", keyMount] : []), "--json", "--with-stdin"],
	];
	return await collect<DrillRecord>(context, { container, directory }, command);
}

/** Runs the agent's check in a container of its own, of the backup image. */
export async function checkApart(
	context: VerbContext,
	container: ServiceContainer,
	directory: string,
	files: readonly string[],
	identity: string | undefined,
): Promise<readonly Pick<VerifyResult, "file" | "ok" | "how" | "problems" | "origin">[]> {
	const { settings } = context.load();
	const config = backupPolicy(context.stack, settings);
	const command = [
		...isolated(context, directory, identity),
		...["--env", `AGENT_CONFIG=${JSON.stringify(config)}`, container.imageId, "verify", ...files],
		...[...(identity ? ["--identity", keyMount] : []), "--json", "--with-stdin"],
	];
	type Results = Awaited<ReturnType<typeof checkApart>>;
	return (await collect<Results>(context, { container, directory }, command)).value;
}

/** Says what age complains of once it has read the head of a file; the rest is not decrypted. */
const headScript = '{ age --decrypt --identity "$1" "$2" 2>&3 | head -c 1 >/dev/null; } 3>&1';

/**
 * A wrong key must not be taken for a damaged backup.
 *
 * @param image in which age is; undefined: on this host.
 * @throws StackError when the key does not open one of the files.
 */
export async function requireKey(
	context: VerbContext,
	{
		directory,
		files,
		identity,
		image,
	}: { directory: string; files: readonly string[]; identity: string; image: string | undefined },
): Promise<void> {
	for (const file of files) {
		const said = image
			? await output("docker", [
					...isolated(context, directory, identity),
					...["--entrypoint", "sh", image, "-c", headScript, "sh", keyMount, `/backups/${file}`],
				])
			: await output("sh", ["-c", headScript, "sh", identity, `${directory}/${file}`]);
		if (!/no identity matched|incorrect passphrase|identity file|secret key|SSH key/i.test(said)) continue;
		const [reason = ""] = said.replace(/^age: (error: )?/, "").split("\n");
		throw new StackError(`the key ${identity} does not open ${file} (${reason}); nothing was checked`, {
			exitCode: exitCodes.permission,
			fix: `name another key; without one its stored bytes are checked: ${context.command(`backup verify ${file}`)}`,
		});
	}
}

/** What a command printed, however it ended. */
function output(command: string, args: readonly string[]): Promise<string> {
	return new Promise((done) => {
		execFile(command, args, (_error, stdout) => done(stdout)).stdin?.end();
	});
}
