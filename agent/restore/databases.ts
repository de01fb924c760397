/**
 * The databases of a restore: `restore_<id>` is made beside the stack's own, which becomes `before_<id>` when
 * the two change places. Their names say how far it has come.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { DatabaseFacts } from "../../recovery/manifest.ts";
import type { RestoreJournal } from "../../recovery/restore-journal.ts";
import type { Query } from "../database-facts.ts";
import { AgentError } from "../failure.ts";
import { dropMarkedRoles, markOf, setClause } from "./roles.ts";
import { literal, quoted } from "./server.ts";

export type OwnFacts = Omit<DatabaseFacts, "rows" | "extensions">;

export function databaseNames(id: string) {
	return { staged: `restore_${id}`, before: `before_${id}` };
}

/**
 * Makes the new database, empty.
 *
 * @returns a warning where the recorded locale is not to be had on this server; `fallback` is taken then.
 */
export async function createStaged(
	query: Query,
	id: string,
	facts: OwnFacts | undefined,
	fallback: OwnFacts | undefined,
): Promise<string | undefined> {
	const { staged } = databaseNames(id);
	const create = (options: string) =>
		query(`CREATE DATABASE ${quoted(staged)} TEMPLATE template0 ${options}`);
	let warning: string | undefined;
	try {
		await create(facts ? localeClause(facts) : "");
	} catch (error) {
		// Invalid value, undefined object, feature not supported: a locale or provider that is not there.
		const unknown = ["22023", "42809", "42704", "0A000"].includes((error as { code?: string }).code ?? "");
		if (!unknown || !facts || !fallback || localeClause(facts) === localeClause(fallback)) throw error;
		await create(localeClause(fallback));
		warning = `the locale ${facts.locale ?? facts.collate} of the backup is not to be had on this server (${(error as Error).message}); the database has ${fallback.locale ?? fallback.collate} as before, so texts may sort otherwise`;
	}
	await query(`COMMENT ON DATABASE ${quoted(staged)} IS ${literal(markOf(id))}`);
	return warning;
}

/** Of CREATE DATABASE: encoding and locale, as they were recorded. */
export function localeClause({ encoding, collate, ctype, localeProvider, locale }: OwnFacts): string {
	const clause = `ENCODING ${literal(encoding)} LC_COLLATE ${literal(collate)} LC_CTYPE ${literal(ctype)} LOCALE_PROVIDER ${localeProvider}`;
	if (localeProvider === "icu") return `${clause} ICU_LOCALE ${literal(locale ?? "")}`;
	return localeProvider === "builtin" ? `${clause} BUILTIN_LOCALE ${literal(locale ?? "")}` : clause;
}

/** Roles that the database's own facts name. */
export function rolesOf(facts: OwnFacts): string[] {
	const inRights = (facts.acl ?? []).flatMap((item) => {
		const [, grantee, grantor] = /^("(?:[^"]|"")*"|[^"=]*)=[^/]*\/(.*)$/.exec(item) ?? [];
		return [grantee, grantor].filter((name) => name !== undefined && name !== "") as string[];
	});
	const inSettings = facts.settings.flatMap((setting) => setting.role ?? []);
	const plain = (name: string) => (name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name);
	return [facts.owner, ...[...inRights, ...inSettings].map(plain)];
}

/** Gives the new database the owner, rights, limit and settings that it had. Its comment comes with the swap. */
export async function applyFacts(query: Query, id: string, facts: OwnFacts): Promise<void> {
	const database = quoted(databaseNames(id).staged);
	await query(`ALTER DATABASE ${database} OWNER TO ${quoted(facts.owner)}`);
	await query(`ALTER DATABASE ${database} CONNECTION LIMIT ${facts.connectionLimit}`);
	for (const { role, values } of facts.settings) {
		const whose = role === null ? `ALTER DATABASE ${database}` : `ALTER ROLE ${role} IN DATABASE ${database}`;
		for (const value of values) await query(`${whose} ${setClause(value)}`);
	}
	if (facts.acl === null) return;
	const rights = await query(
		`SELECT privilege_type AS right, is_grantable AS grantable,
			CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
		FROM aclexplode($1::text[]::aclitem[])`,
		[facts.acl],
	);
	await query(`REVOKE ALL ON DATABASE ${database} FROM PUBLIC, ${quoted(facts.owner)}`);
	for (const { right, grantable, grantee } of rights) {
		const option = grantable ? " WITH GRANT OPTION" : "";
		await query(`GRANT ${right} ON DATABASE ${database} TO ${grantee}${option}`);
	}
}

export async function databaseExists(query: Query, name: string): Promise<boolean> {
	return (await query("SELECT FROM pg_database WHERE datname = $1", [name])).length > 0;
}

/** Seconds for the sessions of a database to end. */
const sessionPatience = 20;

/** Lets nobody in any more, and ends who is there; databases that do not exist are left out. */
async function close(query: Query, names: readonly string[]): Promise<void> {
	for (const name of names) {
		if (await databaseExists(query, name))
			await query(`ALTER DATABASE ${quoted(name)} WITH ALLOW_CONNECTIONS false`);
	}
	const deadline = Date.now() + sessionPatience * 1000;
	for (;;) {
		const sessions = await query(
			"SELECT pg_terminate_backend(pid), coalesce(nullif(application_name, ''), backend_type) AS who FROM pg_stat_activity WHERE datname = ANY($1)",
			[names],
		);
		if (sessions.length === 0) return;
		if (Date.now() > deadline) {
			throw new AgentError(
				`sessions of the database do not end: ${sessions.map((row) => row.who).join(", ")}`,
			);
		}
		await sleep(20);
	}
}

async function rename(query: Query, from: string, to: string): Promise<void> {
	await query(`ALTER DATABASE ${quoted(from)} RENAME TO ${quoted(to)}`);
}

async function open(query: Query, name: string): Promise<void> {
	await query(`ALTER DATABASE ${quoted(name)} WITH ALLOW_CONNECTIONS true`);
}

/** Runs work in one transaction. */
async function inTransaction(query: Query, work: () => Promise<void>): Promise<void> {
	await query("BEGIN");
	try {
		await work();
		await query("COMMIT");
	} catch (error) {
		await query("ROLLBACK").catch(() => undefined);
		throw error;
	}
}

/**
 * The two change places, in one transaction.
 *
 * @param also what is to happen in the same transaction, before the names change.
 */
export async function swapDatabases(
	query: Query,
	name: string,
	id: string,
	comment: string | null,
	also: () => Promise<void>,
): Promise<void> {
	const { staged, before } = databaseNames(id);
	await close(query, [name, staged]);
	await inTransaction(query, async () => {
		await also();
		if (await databaseExists(query, name)) await rename(query, name, before);
		await rename(query, staged, name);
		await query(`COMMENT ON DATABASE ${quoted(name)} IS ${comment === null ? "NULL" : literal(comment)}`);
		await open(query, name);
	});
}

/** Brings back what was, and drops what was made; may be repeated. */
export async function undoDatabases(query: Query, name: string, journal: RestoreJournal): Promise<void> {
	const { id, database: facts } = journal;
	const { staged, before } = databaseNames(id);
	const present = await databaseExists(query, name);
	const swapped =
		(await databaseExists(query, before)) ||
		(facts?.existed === false && present && !(await databaseExists(query, staged)));
	if (swapped) {
		await close(query, [name, before]);
		await inTransaction(query, async () => {
			if (present) await rename(query, name, staged);
			if (await databaseExists(query, before)) {
				await rename(query, before, name);
				await open(query, name);
			}
			for (const statement of facts?.rolesBefore ?? []) await query(statement);
		});
	} else if (present) await open(query, name);
	await query(`DROP DATABASE IF EXISTS ${quoted(staged)} WITH (FORCE)`);
	if (facts) await dropMarkedRoles(query, facts.createdRoles, id);
}

/** Removes the database that was; may be repeated. */
export async function finishDatabases(query: Query, id: string): Promise<void> {
	await query(`DROP DATABASE IF EXISTS ${quoted(databaseNames(id).before)} WITH (FORCE)`);
}

/** Drops what a restore has left whose journal is gone: only what still carries its mark. */
export async function sweepDatabases(query: Query, ownId: string): Promise<string[]> {
	const mark = markOf("");
	const databases = await query(
		"SELECT datname AS name FROM pg_database WHERE datname ~ '^restore_[0-9a-f]{8}$' AND shobj_description(oid, 'pg_database') = $1 || substr(datname, 9) AND datname <> $2",
		[mark, databaseNames(ownId).staged],
	);
	for (const { name } of databases) await query(`DROP DATABASE ${quoted(String(name))} WITH (FORCE)`);
	const roles = await query(
		"SELECT rolname AS name FROM pg_authid WHERE starts_with(shobj_description(oid, 'pg_authid'), $1) AND shobj_description(oid, 'pg_authid') <> $2",
		[mark, markOf(ownId)],
	);
	const swept = databases.map((row) => `database ${row.name}`);
	for (const { name } of roles) {
		try {
			await query(`DROP ROLE ${quoted(String(name))}`);
			swept.push(`role ${name}`);
		} catch (error) {
			// Somebody has given it something meanwhile; then it is theirs.
			if ((error as { code?: string }).code !== "2BP01") throw error;
		}
	}
	return swept;
}
