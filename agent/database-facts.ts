/** What the server knows of a database besides its content: locale, owner, rights, settings, extensions. */
import type { DatabaseFacts } from "../recovery/manifest.ts";

/** Runs a query and gives its rows. */
export type Query = (sql: string, values?: readonly unknown[]) => Promise<Record<string, unknown>[]>;

/** Tables whose rows a dump has; those of extensions come with the extension. */
const tablesQuery = `
	SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'r' AS counted
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
		AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
	ORDER BY 1`;

const factsQuery = `
	SELECT d.datname AS name, current_setting('server_version') AS server_version,
		current_setting('server_version_num')::int / 10000 AS major,
		pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
		CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END AS provider,
		to_jsonb(d) ->> 'datlocale' AS locale,
		pg_get_userbyid(d.datdba) AS owner, d.datconnlimit AS connection_limit,
		shobj_description(d.oid, 'pg_database') AS comment, d.datacl::text[] AS acl,
		pg_database_size(d.oid)::text AS size
	FROM pg_database d WHERE d.datname = $1`;

const settingsQuery = `
	SELECT NULLIF(setrole, 0)::regrole::text AS role, setconfig AS values
	FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = $1)
	ORDER BY 1`;

/** Settings whose value is a list of names, which SQL takes without quotes around the whole. */
export const listSettings = [
	"search_path",
	"DateStyle",
	"temp_tablespaces",
	"session_preload_libraries",
	"shared_preload_libraries",
	"local_preload_libraries",
	"unix_socket_directories",
];

export interface Table {
	/** `schema.table`, quoted as SQL needs it. */
	readonly name: string;
	/** False of a partitioned table, whose rows are its partitions'. */
	readonly counted: boolean;
}

/** The tables of the database that the connection is to. */
export async function tablesOf(query: Query): Promise<Table[]> {
	const rows = await query(tablesQuery);
	return rows.map((row) => ({ name: String(row.name), counted: row.counted === true }));
}

/** Rows per table. */
export async function countRows(query: Query, tables: readonly Table[]): Promise<Record<string, number>> {
	const counts: Record<string, number> = {};
	for (const { name, counted } of tables) {
		if (!counted) continue;
		const [row] = await query(`SELECT count(*)::text AS n FROM ONLY ${name}`);
		counts[name] = Number(row?.n);
	}
	return counts;
}

/** Extensions of the database that the connection is to, with their versions. */
export async function extensionsOf(query: Query): Promise<Record<string, string>> {
	const rows = await query("SELECT extname, extversion FROM pg_extension ORDER BY 1");
	return Object.fromEntries(rows.map((row) => [row.extname, String(row.extversion)]));
}

/** Facts that can be asked from any database of the server, and the size on its disk in bytes. */
export async function databaseFacts(
	query: Query,
	name: string,
): Promise<(Omit<DatabaseFacts, "rows" | "extensions"> & { size: number }) | undefined> {
	const [facts] = await query(factsQuery, [name]);
	if (!facts) return undefined;
	const settings = await query(settingsQuery, [name]);
	return {
		name: String(facts.name),
		serverVersion: String(facts.server_version).split(" ")[0] ?? "",
		major: Number(facts.major),
		encoding: String(facts.encoding),
		collate: String(facts.collate),
		ctype: String(facts.ctype),
		localeProvider: String(facts.provider),
		locale: facts.locale as string | null,
		owner: String(facts.owner),
		connectionLimit: Number(facts.connection_limit),
		comment: facts.comment as string | null,
		acl: facts.acl as string[] | null,
		settings: settings as DatabaseFacts["settings"],
		size: Number(facts.size),
	};
}
