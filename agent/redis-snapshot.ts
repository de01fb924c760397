/** A snapshot of Redis, taken over the network as a replica takes it. */
import { stat } from "node:fs/promises";
import { syncFile } from "../recovery/durable-file.ts";
import { output } from "./children.ts";
import type { RedisConnection } from "./config.ts";
import { AgentError, exitCodes } from "./failure.ts";

/**
 * Writes it to a file and checks it: readable from end to end, and made after `notBefore`, by its own account.
 *
 * @throws AgentError when Redis cannot be reached or what came is not a new, whole snapshot.
 */
export async function snapshotRedis(
	connection: RedisConnection,
	password: string,
	file: string,
	notBefore: Date,
	signal: AbortSignal,
): Promise<void> {
	const { host, port, user } = connection;
	const where = `Redis at ${host}:${port}`;
	const args = [
		"-h",
		host,
		"-p",
		String(port),
		...(user ? ["--user", user] : []),
		"--no-auth-warning",
		"--rdb",
		file,
	];
	let said = "";
	try {
		said = await output("redis-cli", args, { signal, env: { REDISCLI_AUTH: password } });
	} catch (error) {
		throw redisError(where, (error as Error).message);
	}
	const size = (await stat(file).catch(() => undefined))?.size ?? 0;
	if (size === 0) throw redisError(where, said.trim() || "it sent nothing");
	await syncFile(file);
	const report = await output("redis-check-rdb", [file], { signal });
	if (!/RDB looks OK/i.test(report))
		throw new AgentError(`the snapshot of ${where} is damaged: ${report.trim().slice(-500)}`);
	const created = Number(/AUX FIELD ctime = '(\d+)'/.exec(report)?.[1]);
	if (!(created >= Math.floor(notBefore.getTime() / 1000))) {
		throw new AgentError(
			`the snapshot of ${where} says it was made at ${created ? new Date(created * 1000).toISOString() : "an unknown time"}, before this run began at ${notBefore.toISOString()}; it was not used`,
		);
	}
}

function redisError(where: string, said: string): AgentError {
	if (/WRONGPASS|NOAUTH|NOPERM|AUTH failed/i.test(said)) {
		return new AgentError(
			`${where} refuses the backup: ${said}; run up, which brings the secrets`,
			exitCodes.credentials,
		);
	}
	if (/No space left/i.test(said)) return new AgentError(`redis-cli: No space left on device`);
	if (/connect|Name or service|Temporary failure/i.test(said)) {
		return new AgentError(
			`${where} is not running or does not answer (${said}); start it: ./docker-dev.sh start redis`,
		);
	}
	return new AgentError(`no snapshot of ${where}: ${said}`);
}
