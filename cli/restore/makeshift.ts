/**
 * A database and a backup container for the time of a recovery, where those of the stack were removed by hand
 * after a restore was cut off: the engine must not bring up the whole stack before that is put right.
 *
 * They carry the labels of their service, so that they are found as the stack's are. They end when their input
 * ends, and so with this program, however it ends: a second server on the same files would destroy them.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { backupPolicy } from "../../components/backup-policy.ts";
import { readImageRecord, resolveBaseImages } from "../../components/base-images.ts";
import { type ServiceName, volumeEntry } from "../../components/catalogue.ts";
import { databaseName, databaseUser, labelKeys, ownerOf } from "../../components/identity.ts";
import type { VerbContext } from "../context.ts";
import { docker, stackContainers } from "../docker.ts";
import { findStackVolumes } from "../volumes.ts";
import { copySecrets, restoreLabel } from "./helper.ts";

const databaseScript = new URL("../../components/scripts/start-database.sh", import.meta.url);

/**
 * The server ends cleanly when the input ends. What waits for that gets a process id which no server has had: one
 * that was killed leaves its own behind, and the next would take whoever bears it for another server.
 */
const untilInputEnds = `
	for one in $(seq 100); do ( : ); done
	exec 3<&0
	{ cat <&3 > /dev/null; kill -INT "$$"; } &
	exec sh -c "$1" < /dev/null 3<&-`;

/** Runs `work` with a database and a backup container: the stack's own where they exist. */
export async function withContainers<T>(
	context: VerbContext,
	id: string,
	work: () => Promise<T>,
): Promise<T> {
	const containers = await stackContainers(context.stack);
	const own = (service: ServiceName) => containers.find((container) => container.service === service);
	const [database, backup] = [own("db"), own("backup")];
	if (database && backup) return await work();
	context.output.progress("its database or backup container is missing; one is made for the time of this");
	const network = `${context.load().identity.prefix}-restore-${id}`;
	const made: string[] = [];
	const running: ChildProcess[] = [];
	try {
		if (!database) {
			await docker(["network", "create", "--internal", ...labels(context, id), network]);
			made.push(await createDatabase(context, id, network));
		}
		if (!backup) made.push(await createBackup(context, id));
		await giveSecrets(made, (database ?? backup)?.id);
		running.push(...(await Promise.all(made.map(run))));
		return await work();
	} finally {
		await Promise.all(running.map(end));
		if (!database) await docker(["network", "rm", network]).catch(() => undefined);
	}
}

async function createDatabase(context: VerbContext, id: string, network: string): Promise<string> {
	const { settings, directories } = context.load();
	const { postgres } = resolveBaseImages(settings, readImageRecord(directories.state)).images;
	const volume = (await findStackVolumes(context)).find(({ key }) => key === "postgres-data");
	const mount = `source=${volume?.name},target=${volumeEntry("postgres-data").mountPath}`;
	const isReady = `pg_isready -q -h 127.0.0.1 -U ${databaseUser} -d postgres`;
	return await create(context, id, "db", [
		...["--network", network, "--network-alias", "db", "--user", "999:999", "--shm-size", "128m"],
		...["--tmpfs", "/var/run/postgresql:uid=999,gid=999,mode=0775", "--tmpfs", "/tmp:mode=1777"],
		...["--mount", `type=volume,${mount},volume-nocopy`, "--health-cmd", isReady],
		...["--env", `POSTGRES_DB=${databaseName}`, "--env", `POSTGRES_USER=${databaseUser}`],
		...["--env", "POSTGRES_PASSWORD_FILE=/run/secrets/database_password"],
		...["--entrypoint", "sh", postgres, "-c", untilInputEnds, "sh", readFileSync(databaseScript, "utf8")],
	]);
}

/** It does nothing: helpers take image, policy and secrets from it. */
async function createBackup(context: VerbContext, id: string): Promise<string> {
	const { settings, identity } = context.load();
	const policy = JSON.stringify(backupPolicy(context.stack, settings));
	const tmpfs = `${volumeEntry("postgres-data").mountPath}:size=64k`;
	return await create(context, id, "backup", [
		...["--network", "none", "--tmpfs", tmpfs, "--env", `AGENT_CONFIG=${policy}`],
		...["--entrypoint", "cat", `${identity.prefix}-backup:current`],
	]);
}

async function create(
	context: VerbContext,
	id: string,
	service: ServiceName,
	options: readonly string[],
): Promise<string> {
	const created = await docker([
		...["create", "--rm", "--init", "--interactive", ...labels(context, id)],
		...["--name", `${context.load().identity.prefix}-restore-${service}-${id}`],
		...["--label", `${labelKeys.service}=${service}`],
		...["--cap-drop", "ALL", "--security-opt", "no-new-privileges", ...options],
	]);
	return created.trim();
}

function labels({ stack }: VerbContext, id: string): string[] {
	return ["--label", `${labelKeys.owner}=${ownerOf(stack)}`, "--label", `${restoreLabel}=${id}`];
}

/** Those of the stack's other container, else a password of their own: the stack's counts again at the next start. */
async function giveSecrets(containers: readonly string[], source: string | undefined): Promise<void> {
	if (source) {
		for (const container of containers) await copySecrets(source, container);
		return;
	}
	const directory = mkdtempSync(join(tmpdir(), "stack-restore-"));
	try {
		const secrets = join(directory, "secrets");
		mkdirSync(secrets);
		writeFileSync(join(secrets, "database_password"), randomBytes(20).toString("hex"), { mode: 0o444 });
		for (const container of containers) await docker(["cp", secrets, `${container}:/run`]);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

/** Starts a container whose input is held by this program. */
async function run(id: string): Promise<ChildProcess> {
	const child = spawn("docker", ["start", "--attach", "--interactive", id], {
		stdio: ["pipe", "ignore", "ignore"],
		// Its own group: a terminal's Ctrl-C is not for it.
		detached: true,
	});
	child.stdin.on("error", () => undefined);
	while (child.exitCode === null) {
		if ((await docker(["container", "inspect", "--format", "{{.State.Running}}", id])).trim() === "true")
			break;
		await sleep(50);
	}
	return child;
}

async function end(child: ChildProcess): Promise<void> {
	child.stdin?.end();
	if (child.exitCode === null) await once(child, "close");
}
