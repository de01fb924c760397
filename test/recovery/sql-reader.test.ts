/** Reading a dump: what is a statement and what only looks like one, wherever the stream is cut. */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { SqlLexer, statementsOf } from "../../recovery/sql-lexer.ts";
import { DumpReader } from "../../recovery/sql-reader.ts";

const dump = `--
-- PostgreSQL database dump
--
\\restrict abcDEF
-- Dumped from database version 17.4 (Debian 17.4-1)
-- Dumped by pg_dump version 17.4
SET standard_conforming_strings = on;
CREATE FUNCTION public.odd() RETURNS text LANGUAGE plpgsql AS $_$
BEGIN
\\connect elsewhere
DROP DATABASE other;
COPY public.looks_like (x) FROM stdin;
RETURN $1 || 'it''s' || $$x$$;
END $_$;
ALTER FUNCTION public.odd() OWNER TO "Röle ""x""";
CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
COMMENT ON TABLE public.a IS 'a text; with -- no comment, /* none */ and ON ROLE x';
COMMENT ON TABLE public.a IS E'a text with \\\\ and \\' and a line;
DROP DATABASE other;
';
/* a comment /* in a comment */ DROP DATABASE other; */
CREATE TABLE public."odd "" one" (x integer DEFAULT 5 - 3, y text DEFAULT 'E');
ALTER TABLE public."odd "" one" OWNER TO app_owner;
GRANT SELECT,INSERT ON TABLE public.a TO reader WITH GRANT OPTION;
GRANT ALL ON SCHEMA public TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO taker;
CREATE POLICY p ON public.a TO one, "two 2" USING (true);
CREATE USER MAPPING FOR mapped SERVER far;
COPY public."odd "" one" (x, y) FROM stdin;
1	DROP DATABASE other;
2	\\\\connect
\\N	\\N
\\.

COPY public.a (x) FROM stdin;
\\.

COPY public.nothing  FROM stdin;


\\.

SELECT pg_catalog.setval('public.s', 7, true);
--
-- PostgreSQL database dump complete
--

\\unrestrict abcDEF
`;

function read(text: string | Buffer, chunkSize: number) {
	const reader = new DumpReader();
	const bytes = Buffer.from(text);
	// The same memory for every chunk, as a pipe is read.
	const chunk = Buffer.alloc(chunkSize);
	for (let start = 0; start < bytes.length; start += chunkSize) {
		const length = bytes.copy(chunk, 0, start, start + chunkSize);
		reader.add(chunk.subarray(0, length));
	}
	return reader.end();
}

test.each([1, 2, 3, 7, 64, 100_000])("a dump read in chunks of %i bytes", (chunkSize) => {
	const { complete, rows, major, roles, beyond } = read(dump, chunkSize);
	expect({ complete, major, beyond }).toEqual({ complete: true, major: 17, beyond: undefined });
	expect([...rows]).toEqual([
		['public."odd "" one"', 3],
		["public.a", 0],
		["public.nothing", 2],
	]);
	expect([...roles].sort()).toEqual(['Röle "x"', "app_owner", "maker", "one", "reader", "taker", "two 2"]);
});

test("a dump cut anywhere before its last comment is not complete", () => {
	const end = dump.indexOf("PostgreSQL database dump complete");
	fc.assert(fc.property(fc.nat(end), (length) => !read(dump.slice(0, length), 50).complete));
});

test.each([
	"\\connect other",
	"\\! rm -rf /",
	"SELECT 1; \\c other",
	"CREATE DATABASE other;",
	"drop  database other;",
	'ALTER DATABASE "backend_db" SET timezone TO x;',
	"CREATE ROLE x;",
	"ALTER USER postgres PASSWORD 'x';",
	"COMMENT ON DATABASE x IS 'y';",
	"GRANT CONNECT ON DATABASE x TO y;",
	"GRANT one TO two GRANTED BY postgres;",
	"ALTER SYSTEM SET x = 1;",
	"CREATE TABLESPACE x LOCATION '/y';",
])("%s reaches beyond the dump's database", (line) => {
	expect(read(`${dump}${line}\n`, 100).beyond).toBeDefined();
	expect(read(dump.replace("SET standard", `${line}\nSET standard`), 100).beyond).toBeDefined();
	// Within a text or the body of a function it is no statement.
	expect(read(`${dump}CREATE FUNCTION f() AS $x$ ${line} $x$;\n`, 100).beyond).toBeUndefined();
});

test("statements are found whatever quotes, and in whatever chunks", () => {
	const piece = fc.oneof(
		fc.constantFrom(
			"a",
			"$1",
			" E'x\\'y' ",
			"'it''s; \\'",
			'"a;""b"',
			"$t$ ; $$ $t$",
			"$$;'$$",
			" -\n- ",
			"/*;/**/*/",
			"--;'\n",
		),
		fc.constantFrom("*", "/", "-", "\n", "é", "(", ")", " "),
	);
	fc.assert(
		fc.property(
			fc.array(fc.array(piece, { maxLength: 6 }), { maxLength: 5 }),
			fc.integer({ min: 1, max: 9 }),
			(parts, size) => {
				// A space after each piece: two of them side by side could be one of another kind.
				const sql = parts.map((pieces) => `begin ${pieces.join(" ")} end;`).join("\n");
				const whole = statementsOf(sql);
				expect(whole).toHaveLength(parts.length);
				const inPieces: string[] = [];
				const lexer = new SqlLexer({ statement: (text) => inPieces.push(text) });
				const bytes = Buffer.from(sql);
				for (let start = 0; start < bytes.length; start += size)
					lexer.feed(bytes.subarray(start, start + size), 0);
				expect(inPieces).toEqual(whole);
			},
		),
	);
});
