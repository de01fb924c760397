/** Connections to the server while its databases are exchanged. */
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { AgentConfig, DatabaseConnection } from "../config.ts";
import { readSecret } from "../config.ts";
import type { Query } from "../database-facts.ts";
import { AgentError, exitCodes } from "../failure.ts";

export interface Session {
	readonly query: Query;
	close(): Promise<void>;
}

/** Databases that one can be connected to while the stack's own is renamed, the usual one first. */
const maintenanceDatabases = ["postgres", "template1"];

export const applicationName = "persistent-stack restore";

/** A connection to a database of the server. */
export async function connect(config: AgentConfig, database: string, signal: AbortSignal): Promise<Session> {
	const { host, port, user } = config.database;
	const client = new pg.Client({
		host,
		port,
		database,
		user,
		password: databasePassword(config),
		application_name: applicationName,
		connectionTimeoutMillis: 10_000,
		keepAlive: true,
	});
	// Without a listener the loss of an idle connection would end the process.
	let lost: Error | undefined;
	client.on("error", (error) => {
		lost = error;
	});
	const close = async () => {
		signal.removeEventListener("abort", abort);
		if (!lost) await client.end().catch(() => undefined);
	};
	const abort = () => {
		// The connection is cut: the query that runs on it fails.
		(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
	};
	try {
		await client.connect();
		signal.addEventListener("abort", abort);
		signal.throwIfAborted();
		await client.query("SET statement_timeout = 0; SET lock_timeout = 0; SET transaction_timeout = 0");
	} catch (error) {
		await close();
		throw error;
	}
	const query: Query = async (sql, values) => {
		if (lost) throw lost;
		return (await client.query(sql, values?.slice())).rows;
	};
	return { query, close };
}

/**
 * A connection that is in nobody's way when the stack's own database is renamed.
 *
 * @param patienceSeconds for which to wait for a server that is starting. @default 0
 * @throws AgentError when the server does not answer or refuses the password.
 */
export async function connectBeside(
	config: AgentConfig,
	signal: AbortSignal,
	patienceSeconds = 0,
): Promise<Session> {
	const deadline = Date.now() + patienceSeconds * 1000;
	for (;;) {
		try {
			return await connectToFirst(config, signal);
		} catch (error) {
			signal.throwIfAborted();
			if (isRefusal(error) || Date.now() >= deadline) throw connectionError(error, config.database);
			await sleep(500, undefined, { signal });
		}
	}
}

async function connectToFirst(config: AgentConfig, signal: AbortSignal): Promise<Session> {
	let missing: unknown;
	for (const database of maintenanceDatabases.filter((name) => name !== config.database.name)) {
		try {
			return await connect(config, database, signal);
		} catch (error) {
			if ((error as { code?: string }).code !== "3D000") throw error;
			missing = error;
		}
	}
	throw missing;
}

export function databasePassword(config: AgentConfig): string {
	return readSecret(config.database.passwordFile, () => undefined);
}

/** An identifier as SQL takes it. */
export const quoted = pg.escapeIdentifier;
/** A text as SQL takes it. */
export const literal = pg.escapeLiteral;

function isRefusal(error: unknown): boolean {
	return (
		error instanceof AgentError ||
		["28P01", "28000", "3D000"].includes((error as { code?: string }).code ?? "")
	);
}

function connectionError(error: unknown, { host, port, user }: DatabaseConnection): Error {
	if (error instanceof AgentError) return error;
	const { code, message } = error as { code?: string; message: string };
	if (code === "28P01" || code === "28000") {
		return new AgentError(
			`PostgreSQL at ${host}:${port} refuses the password of ${user}: ${message}; nothing was changed. Run up, which makes the role's password equal the stack's secret`,
			exitCodes.credentials,
		);
	}
	return new AgentError(
		`the database does not answer at ${host}:${port} (${message || code}); nothing was changed. Start it: ./docker-dev.sh start db. Where it does not start: ./docker-dev.sh restore --rebuild-database`,
	);
}
