/** What a restore takes from names and from the text of roles, before any server is asked. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { rolesOf } from "../../agent/restore/databases.ts";
import { parseRoles, setClause } from "../../agent/restore/roles.ts";
import { openSource, soleTarget } from "../../agent/restore/source.ts";
import { manifest } from "./fixtures.ts";

const globals = `--
-- Roles
--
\\restrict x
SET default_transaction_read_only = off;
CREATE ROLE "App ""one""";
ALTER ROLE "App ""one""" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:a;b$c:d';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER PASSWORD 'theirs';
CREATE ROLE reader;
ALTER ROLE reader WITH NOLOGIN;
COMMENT ON ROLE reader IS 'x; ALTER ROLE postgres';
ALTER ROLE reader SET search_path TO 'a', 'b';
ALTER ROLE postgres SET work_mem TO '1MB';
COMMENT ON ROLE postgres IS 'theirs';
GRANT "App ""one""" TO reader WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres;
GRANT reader TO postgres GRANTED BY postgres;
GRANT pg_read_all_data TO reader WITH INHERIT TRUE GRANTED BY postgres;
ALTER DATABASE backend_db OWNER TO reader;
ALTER ROLE reader IN DATABASE backend_db SET work_mem TO '1MB';
REVOKE ALL ON DATABASE backend_db FROM PUBLIC;
GRANT CONNECT ON DATABASE backend_db TO reader;
`;

test("roles are applied, but nothing on the stack's own role and nothing on a database", () => {
	const { names, statements } = parseRoles(globals, "postgres");
	expect(names).toEqual(['App "one"', "reader"]);
	expect(statements).toEqual([
		expect.stringMatching(/^ALTER ROLE "App ""one""" WITH .*'SCRAM-SHA-256\$4096:a;b\$c:d'$/),
		"ALTER ROLE reader WITH NOLOGIN",
		"COMMENT ON ROLE reader IS 'x; ALTER ROLE postgres'",
		"ALTER ROLE reader SET search_path TO 'a', 'b'",
		'GRANT "App ""one""" TO reader WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres',
		"GRANT pg_read_all_data TO reader WITH INHERIT TRUE GRANTED BY postgres",
	]);
});

test("settings are written as SQL takes them: lists of names bare, everything else as a text", () => {
	expect(setClause("TimeZone=Asia/Tokyo")).toBe(`SET "TimeZone" TO 'Asia/Tokyo'`);
	expect(setClause('search_path="$user", public')).toBe('SET "search_path" TO "$user", public');
	expect(setClause("app.text=it's a=b")).toBe(`SET "app.text" TO 'it''s a=b'`);
	expect(setClause("search_path=")).toBe(`SET "search_path" TO ''`);
});

test("the roles that a database's own facts name are found, quoted or not, and PUBLIC is none", () => {
	const facts = {
		...manifest().database,
		owner: "owner",
		acl: ["=Tc/owner", "owner=CTc/owner", '"Größe ""x"""=c*/owner', "reader=c/giver"],
		settings: [
			{ role: null, values: [] },
			{ role: '"Odd one"', values: [] },
		],
	};
	expect([...new Set(rolesOf(facts))].sort()).toEqual(['Größe "x"', "Odd one", "giver", "owner", "reader"]);
});

test.each([
	["full_backup_20260101_020000.tar.gz", "full", undefined],
	["full_backup_20260101_020000.tar.zst.age", "full", undefined],
	["anything.tgz", "full", undefined],
	["db_backup_20260101_020000.sql.age", "database", "database"],
	["by-hand.sql", "database", "database"],
	["by-hand.sql.gz", "database", "database"],
	["media_backup_20260101_020000.tar.gz", "files", "media"],
	["static_backup_20260101_020000.tar.gz.age", "files", "static"],
])("%s is restored as %s", async (name, kind, target) => {
	const directory = mkdtempSync(join(tmpdir(), "source-"));
	try {
		writeFileSync(join(directory, name), "x");
		const source = await openSource(join(directory, name));
		expect([source.kind, soleTarget(source), source.encrypted]).toEqual([
			kind,
			target,
			name.endsWith(".age"),
		]);
		await expect(openSource(join(directory, `${name}.part`))).rejects.toMatchObject({ exitCode: 2 });
	} finally {
		rmSync(directory, { recursive: true });
	}
});
