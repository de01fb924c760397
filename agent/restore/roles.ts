/**
 * Roles of a recovery point: those that are missing are made before the dump is loaded, without any right; all
 * get what they had in the moment of the swap. The stack's own role stays as it is.
 */
import { statementsOf } from "../../recovery/sql-lexer.ts";
import { listSettings, type Query } from "../database-facts.ts";
import { literal, quoted } from "./server.ts";

/** What a recovery point says of roles. */
export interface RecordedRoles {
	readonly names: string[];
	/** Statements on these roles alone. */
	readonly statements: string[];
}

const name = String.raw`(?:"(?:[^"]|"")*"|[\w$\u0080-\uffff]+)`;
const createRole = new RegExp(`^CREATE ROLE (${name})$`);
/** Statements of pg_dumpall on one role; what a role has in one database comes with that database. */
const onRole = [
	new RegExp(`^ALTER ROLE (${name}) (?:WITH|SET) `, "s"),
	new RegExp(`^COMMENT ON ROLE (${name}) IS `, "s"),
	new RegExp(`^SECURITY LABEL FOR \\S+ ON ROLE (${name}) IS `, "s"),
	// The member is the one that gains by it.
	new RegExp(`^GRANT ${name} TO (${name})(?: |$)`, "s"),
];

/** @param own role of the stack, which a recovery point never changes. */
export function parseRoles(globals: string, own: string): RecordedRoles {
	const statements = statementsOf(globals);
	const names = statements
		.flatMap((statement) => createRole.exec(statement)?.[1] ?? [])
		.map(plainName)
		.filter((role) => role !== own && !role.startsWith("pg_"));
	const known = new Set(names);
	return {
		names,
		statements: statements.filter((statement) =>
			onRole.some((pattern) => {
				const role = pattern.exec(statement)?.[1];
				return role !== undefined && known.has(plainName(role));
			}),
		),
	};
}

/** Mark of what a restore has made, in the comment, until the swap. */
export function markOf(id: string): string {
	return `persistent-stack restore ${id}`;
}

/** Those of the names that are no role of the server. */
export async function missingRoles(query: Query, names: Iterable<string>): Promise<string[]> {
	const rows = await query(
		"SELECT n FROM unnest($1::text[]) n WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = n) AND n NOT LIKE 'pg\\_%'",
		[[...new Set(names)]],
	);
	return rows.map((row) => String(row.n));
}

/** Makes a role that may do nothing. */
export async function makeRole(query: Query, role: string, id: string): Promise<void> {
	await query("BEGIN");
	await query(`CREATE ROLE ${quoted(role)} NOLOGIN`);
	await query(`COMMENT ON ROLE ${quoted(role)} IS ${literal(markOf(id))}`);
	await query("COMMIT");
}

/** Drops those of the roles that carry the mark. */
export async function dropMarkedRoles(query: Query, roles: readonly string[], id: string): Promise<void> {
	const rows = await query(
		"SELECT rolname FROM pg_authid WHERE rolname = ANY($1) AND shobj_description(oid, 'pg_authid') = $2",
		[roles, markOf(id)],
	);
	if (rows.length > 0) await query(`DROP ROLE ${rows.map((row) => quoted(String(row.rolname))).join(", ")}`);
}

/**
 * Gives the roles what they had, within the transaction that is open.
 *
 * @param created roles that the restore has made.
 * @returns statements that undo it, passwords as the server keeps them.
 */
export async function applyRoles(
	query: Query,
	{ names, statements }: RecordedRoles,
	created: readonly string[],
	id: string,
): Promise<string[]> {
	const kept = names.filter((role) => !created.includes(role));
	const attributes = await attributeStatements(query, kept);
	const before = await memberships(query, [...names, ...created]);
	// The mark goes; a comment of its own comes with the statements.
	for (const role of created) await query(`COMMENT ON ROLE ${quoted(role)} IS NULL`);
	for (const statement of statements) await query(statement);
	const after = await memberships(query, [...names, ...created]);
	return [
		...after.filter((one) => !before.some((other) => other.key === one.key)).map((one) => one.revoke),
		...before.map((one) => one.grant),
		...attributes,
		...created.map((role) => `COMMENT ON ROLE ${quoted(role)} IS ${literal(markOf(id))}`),
	];
}

const attributesQuery = `
	SELECT format('ALTER ROLE %I WITH %s %s %s %s %s %s %s CONNECTION LIMIT %s PASSWORD %s VALID UNTIL %L', rolname,
		CASE WHEN rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END, CASE WHEN rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
		CASE WHEN rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
		CASE WHEN rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END,
		CASE WHEN rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END,
		rolconnlimit, coalesce(quote_literal(rolpassword), 'NULL'), coalesce(rolvaliduntil::text, 'infinity')) AS alter,
		-- No statement takes the end of a password's time away again.
		CASE WHEN rolvaliduntil IS NULL THEN format('UPDATE pg_authid SET rolvaliduntil = NULL WHERE rolname = %L', rolname) END AS forever,
		format('ALTER ROLE %I RESET ALL', rolname) AS reset,
		format('COMMENT ON ROLE %I IS %L', rolname, shobj_description(oid, 'pg_authid')) AS comment,
		(SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0) AS settings, rolname AS name
	FROM pg_authid a WHERE rolname = ANY($1) ORDER BY rolname`;

/** Statements that give roles what they have now. */
async function attributeStatements(query: Query, roles: readonly string[]): Promise<string[]> {
	const rows = await query(attributesQuery, [roles]);
	return rows.flatMap((row) => [
		String(row.alter),
		...(row.forever ? [String(row.forever)] : []),
		String(row.reset),
		String(row.comment),
		...((row.settings as string[] | null) ?? []).map(
			(setting) => `ALTER ROLE ${quoted(String(row.name))} ${setClause(setting)}`,
		),
	]);
}

/** `SET name TO value`, from how the server keeps it: `name=value`. */
export function setClause(setting: string): string {
	const end = setting.indexOf("=");
	const name = setting.slice(0, end);
	const value = setting.slice(end + 1);
	const isList = listSettings.some((one) => one.toLowerCase() === name.toLowerCase());
	return `SET ${quoted(name)} TO ${isList && value !== "" ? value : literal(value)}`;
}

const membershipsQuery = `
	SELECT format('%s %s %s', roleid, member, grantor) AS key,
		format('REVOKE %I FROM %I GRANTED BY %I CASCADE', pg_get_userbyid(roleid), pg_get_userbyid(member), pg_get_userbyid(grantor)) AS revoke,
		format('GRANT %I TO %I WITH ADMIN %s, INHERIT %s, SET %s GRANTED BY %I', pg_get_userbyid(roleid), pg_get_userbyid(member),
			admin_option::text, inherit_option::text, set_option::text, pg_get_userbyid(grantor)) AS grant
	FROM pg_auth_members WHERE member = ANY(SELECT oid FROM pg_authid WHERE rolname = ANY($1)) ORDER BY oid`;

async function memberships(query: Query, roles: readonly string[]) {
	const rows = await query(membershipsQuery, [roles]);
	return rows.map((row) => ({ key: String(row.key), revoke: String(row.revoke), grant: String(row.grant) }));
}

function plainName(identifier: string): string {
	return identifier.startsWith('"') ? identifier.slice(1, -1).replaceAll('""', '"') : identifier;
}
