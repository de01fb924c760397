/** Brings a copy from the bucket into the backup directory, by the backup container, which knows the way there. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { findSidecar, requireArrived, runAgent, type Sidecar } from "../agent.ts";
import type { BackupFile } from "../backup-file.ts";
import type { VerbContext } from "../context.ts";
import { docker } from "../docker.ts";
import { StackError } from "../errors.ts";
import { formatBytes } from "../output.ts";

/** A copy that is still in the bucket. */
export interface OffsiteSource {
	/** File name, key or `s3://` address; undefined: the newest good full copy. */
	readonly copy: string | undefined;
	/** Credentials file other than the stack's, such as the reader's. */
	readonly credentials: string | undefined;
}

interface Fetched {
	readonly file: string;
	readonly size: number;
	readonly url: string;
	/** Whether it was in the backup directory already. */
	readonly wasHere: boolean;
}

/**
 * Downloads it; its hash is compared before it gets its name, and nothing is overwritten. It stays.
 *
 * @throws StackError with the agent's exit code: 7 for a damaged copy, 4 for a key that is refused.
 */
export async function fetchCopy(
	context: VerbContext,
	{ copy, credentials }: OffsiteSource,
): Promise<BackupFile> {
	const sidecar = await findSidecar(context);
	const which = copy === undefined ? ["--latest"] : [copy];
	const { value } = await withCredentials(sidecar, credentials, (options) =>
		runAgent<Fetched>(context, sidecar, ["fetch", ...which, ...options]),
	);
	requireArrived(context, sidecar, value.file);
	context.output.progress(
		value.wasHere
			? `${value.url} is in ${sidecar.directory} already`
			: `downloaded ${value.url}, ${formatBytes(value.size)}, into ${sidecar.directory}`,
	);
	return { directory: sidecar.directory, file: value.file };
}

/** For as long as it is needed the file lies in the container's memory, readable by nobody else there. */
async function withCredentials<T>(
	{ container }: Sidecar,
	file: string | undefined,
	use: (options: readonly string[]) => Promise<T>,
): Promise<T> {
	if (file === undefined) return await use([]);
	const path = `/tmp/credentials-${randomUUID()}`;
	// As the agent runs: as the owner of the backup directory.
	const script = 'umask 077; cat >"$1" && chown "$(stat -c %u:%g /backups)" "$1"';
	try {
		await feed(file, ["exec", "--interactive", container.id, "sh", "-c", script, "sh", path]);
		return await use(["--credentials", path]);
	} finally {
		await docker(["exec", container.id, "rm", "-f", path]).catch(() => undefined);
	}
}

async function feed(file: string, command: readonly string[]): Promise<void> {
	const child = spawn("docker", command, { stdio: ["pipe", "ignore", "pipe"] });
	let said = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said += text;
	});
	const ended = new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", resolve);
	});
	await pipeline(createReadStream(file), child.stdin).catch(() => undefined);
	const code = await ended;
	if (code !== 0) throw new StackError(`the credentials could not be handed over: ${said.trim() || code}`);
}
