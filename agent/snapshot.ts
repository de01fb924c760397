/**
 * One view of the database for everything that is read from it: a session that holds a lock on every table and
 * an exported snapshot, until the dump and the counts are done.
 */
import pg from "pg";
import type { DatabaseFacts } from "../recovery/manifest.ts";
import { output } from "./children.ts";
import type { DatabaseConnection } from "./config.ts";
import {
	countRows,
	databaseFacts,
	extensionsOf,
	listSettings,
	type Query,
	type Table,
	tablesOf,
} from "./database-facts.ts";
import { AgentError, exitCodes } from "./failure.ts";

export interface Snapshot {
	/** For `pg_dump --snapshot`. */
	readonly id: string;
	readonly takenAt: Date;
	/** Facts of the database, without the rows. */
	readonly facts: Omit<DatabaseFacts, "rows">;
	/** Size of the database on the server's disk, in bytes. */
	readonly databaseSize: number;
	/** Statements that give the database its owner, rights, comment, limit and settings. */
	readonly settingsSql: string;
	countRows(): Promise<Record<string, number>>;
	/** @throws Error when the session that held the view was lost: what was read under it is not one view then. */
	mustBeHeld(): Promise<void>;
	close(): Promise<void>;
}

/** As SQL, made by the server, which knows how to quote. */
const settingsSqlQuery = `
	WITH d AS (SELECT * FROM pg_database WHERE datname = current_database())
	SELECT format('ALTER DATABASE %I OWNER TO %I;', datname, pg_get_userbyid(datdba)) AS line, 1 AS place FROM d
	UNION ALL SELECT format('ALTER DATABASE %I CONNECTION LIMIT %s;', datname, datconnlimit), 2 FROM d WHERE datconnlimit <> -1
	UNION ALL SELECT format('COMMENT ON DATABASE %I IS %L;', datname, shobj_description(oid, 'pg_database')), 3
		FROM d WHERE shobj_description(oid, 'pg_database') IS NOT NULL
	UNION ALL SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC;', datname), 4 FROM d WHERE datacl IS NOT NULL
	UNION ALL SELECT format('GRANT %s ON DATABASE %I TO %s%s;', a.privilege_type, datname,
			CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
			CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), 5
		FROM d, aclexplode(d.datacl) a
	UNION ALL SELECT CASE WHEN s.setrole = 0 THEN format('ALTER DATABASE %I SET %s TO ', datname, quote_ident(split_part(v, '=', 1)))
			ELSE format('ALTER ROLE %I IN DATABASE %I SET %s TO ', pg_get_userbyid(s.setrole), datname, quote_ident(split_part(v, '=', 1))) END
			-- A list of names is one value in pg_db_role_setting and several in SQL.
			|| CASE WHEN split_part(v, '=', 1) IN (${listSettings.map((name) => `'${name}'`).join(", ")})
				THEN substr(v, strpos(v, '=') + 1) ELSE quote_literal(substr(v, strpos(v, '=') + 1)) END || ';', 6
		FROM d JOIN pg_db_role_setting s ON s.setdatabase = d.oid, unnest(s.setconfig) v
	ORDER BY 2, 1`;

const tries = 5;

/**
 * Takes the view. The tables are locked before the snapshot is taken: a TRUNCATE between the two would leave an
 * empty table in a dump that ends with exit code 0.
 *
 * @throws AgentError saying why the database cannot be dumped.
 */
export async function openSnapshot(
	connection: DatabaseConnection,
	password: string,
	tableLockSeconds: number,
	signal: AbortSignal,
): Promise<Snapshot> {
	const client = new pg.Client({
		host: connection.host,
		port: connection.port,
		database: connection.name,
		user: connection.user,
		password,
		application_name: "persistent-stack backup",
		connectionTimeoutMillis: 10_000,
		keepAlive: true,
	});
	let lost: Error | undefined;
	// Without a listener the loss of an idle connection would end the process.
	client.on("error", (error) => {
		lost = error;
	});
	const rows: Query = async (sql, values) => {
		if (lost) throw lost;
		return (await client.query(sql, values?.slice())).rows;
	};
	const close = async () => {
		if (!lost) await client.end().catch(() => undefined);
	};
	try {
		await client.connect();
		await rows(
			"SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0",
		);
		const facts = await databaseFacts(rows, connection.name);
		if (!facts) throw new Error(`the database ${connection.name} is gone`);
		await checkDumpProgram(facts.major, facts.serverVersion, signal);
		const tables = await lockTables(rows, tableLockSeconds);
		const [exported] = await rows("SELECT pg_export_snapshot() AS id, clock_timestamp() AS at");
		const settingsSql = (await rows(settingsSqlQuery)).map((row) => row.line).join("\n");
		return {
			id: String(exported?.id),
			takenAt: exported?.at as Date,
			databaseSize: facts.size,
			settingsSql,
			facts: { ...facts, extensions: await extensionsOf(rows) },
			countRows: () => countRows(rows, tables),
			mustBeHeld: async () => {
				try {
					await rows("SELECT 1");
				} catch (error) {
					throw new AgentError(
						`the session that held the database's snapshot was lost: ${(error as Error).message}; nothing was kept. Run the backup again`,
					);
				}
			},
			close,
		};
	} catch (error) {
		await close();
		throw databaseError(error, connection);
	}
}

/** Begins the transaction with every table locked; again when tables came or went meanwhile. */
async function lockTables(rows: Query, seconds: number): Promise<Table[]> {
	for (let attempt = 1; ; attempt++) {
		const tables = await tablesOf(rows);
		await rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
		await rows(`SET LOCAL lock_timeout = '${seconds}s'`);
		try {
			for (let start = 0; start < tables.length; start += 500) {
				const names = tables.slice(start, start + 500).map((table) => table.name);
				await rows(`LOCK TABLE ${names.join(", ")} IN ACCESS SHARE MODE`);
			}
			// The first query takes the snapshot: a table that came since the list was read is not locked.
			const now = await tablesOf(rows);
			if (now.map((table) => table.name).join() === tables.map((table) => table.name).join()) return tables;
			if (attempt === tries) throw new AgentError("tables come and go too fast; run the backup again");
			await rows("ROLLBACK");
		} catch (error) {
			const gone =
				(error as { code?: string }).code === "42P01" || (error as { code?: string }).code === "3F000";
			await rows("ROLLBACK");
			if (!gone || attempt === tries) throw error;
		}
	}
}

/** pg_dump must not be older than the server: said before the dump, not by a broken one. */
async function checkDumpProgram(
	serverMajor: number,
	serverVersion: string,
	signal: AbortSignal,
): Promise<void> {
	const version = await output("pg_dump", ["--version"], { signal });
	const major = Number(/\) (\d+)/.exec(version)?.[1]);
	if (!(major >= serverMajor)) {
		throw new AgentError(
			`the server is PostgreSQL ${serverVersion}, and ${version.trim()} cannot dump it; nothing was dumped. Run up, which builds the backup image from the server's own`,
		);
	}
}

function databaseError(error: unknown, { host, port, name, user }: DatabaseConnection): Error {
	const { code, message } = error as { code?: string; message: string };
	if (code === "28P01" || code === "28000") {
		return new AgentError(
			`PostgreSQL at ${host}:${port} refuses the password of ${user}: ${message}; nothing was dumped. Run up, which makes the role's password equal the stack's secret`,
			exitCodes.credentials,
		);
	}
	if (code === "3D000")
		return new AgentError(`PostgreSQL at ${host}:${port} has no database ${name}; nothing was dumped`);
	if (code === "55P03") {
		return new AgentError(
			`a table stayed locked by another session: ${message}; nothing was dumped. Wait for that session and run the backup again`,
		);
	}
	if (
		["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ETIMEDOUT", "57P03"].includes(code ?? "") ||
		/timeout expired/.test(message ?? "")
	) {
		return new AgentError(
			`the database is not running or does not answer at ${host}:${port} (${message || code}); nothing was dumped. Start it: ./docker-dev.sh start db`,
		);
	}
	return error as Error;
}
