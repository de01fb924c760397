/** Reads a plain SQL dump as a stream: whether it is whole, what it holds, and what it would do elsewhere. */
import { SqlLexer } from "./sql-lexer.ts";

/** What was seen in a dump. */
export interface DumpContent {
	/** Whether pg_dump's last line is there. */
	readonly complete: boolean;
	/** Rows per table, by the name as pg_dump writes it. */
	readonly rows: ReadonlyMap<string, number>;
	/** Major version of the server that it was dumped from, where pg_dump has noted it. */
	readonly major?: number;
	/** Roles that it names, of which it makes none. */
	readonly roles: ReadonlySet<string>;
	/** The first statement or command of it that reaches beyond its own database. */
	readonly beyond?: string;
}

const newline = 0x0a;
const backslash = 0x5c;
const point = 0x2e;

/** A name, quoted or not, as it stands in SQL. */
const name = String.raw`(?:"(?:[^"]|"")*"|[^\s".,;()]+)`;
const copyStatement = new RegExp(`^COPY (${name}(?:\\.${name})?) .*FROM stdin\\b`, "is");
const beyondStatement = [
	/^(?:CREATE|DROP|ALTER)\s+(?:DATABASE|ROLE|USER(?!\s+MAPPING)|GROUP|TABLESPACE|SYSTEM)\b/i,
	/^(?:COMMENT|SECURITY\s+LABEL(?:\s+FOR\s+\S+)?)\s+ON\s+(?:DATABASE|ROLE|TABLESPACE)\b/i,
	/^(?:GRANT|REVOKE)\b[^"']*\bON\s+(?:DATABASE|TABLESPACE|PARAMETER)\b/i,
	// Membership in a role: every other grant is one ON something.
	/^(?:GRANT|REVOKE)\s(?!.*\sON\s)/is,
];
/** Commands of psql that pg_dump writes around a dump, so that nothing else in it is taken for one. */
const harmlessCommand = /^(?:un)?restrict\b/;
const namesRole = [
	new RegExp(`^ALTER .* OWNER TO (${name})$`, "is"),
	new RegExp(`^ALTER DEFAULT PRIVILEGES FOR ROLE (${name})`, "is"),
	new RegExp(
		`^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .* (?:TO|FROM) (${name})(?: WITH GRANT OPTION)?$`,
		"is",
	),
	new RegExp(`^CREATE SCHEMA .* AUTHORIZATION (${name})$`, "is"),
	new RegExp(`^CREATE POLICY .*? TO (${name}(?:, ?${name})*)(?: USING| WITH|$)`, "is"),
];
const noRole = new Set(["public", "current_user", "session_user", "current_role"]);

/** Takes a dump in chunks. Rows are counted by their line ends: a line end within a value is escaped in COPY. */
export class DumpReader {
	readonly #rows = new Map<string, number>();
	readonly #roles = new Set<string>();
	readonly #lexer = new SqlLexer({
		statement: (text) => this.#statement(text),
		comment: (text) => this.#comment(text),
		command: (text) => {
			if (!harmlessCommand.test(text)) this.#beyond ??= `\\${text}`;
		},
		lineEnd: () => {
			this.#table = this.#announced;
			this.#announced = undefined;
			return this.#table !== undefined;
		},
	});
	/** The table whose rows follow the statement's line. */
	#announced: string | undefined;
	#table: string | undefined;
	#count = 0;
	/** The first bytes of a row that began in the chunk before. */
	#begun: Buffer = Buffer.alloc(0);
	#complete = false;
	#major: number | undefined;
	#beyond: string | undefined;

	/** Roles named so far. */
	get roles(): ReadonlySet<string> {
		return this.#roles;
	}

	/** As in the result, as far as it has been read. */
	get beyond(): string | undefined {
		return this.#beyond;
	}

	add(chunk: Buffer): void {
		for (let position = 0; position < chunk.length; ) {
			position =
				this.#table === undefined ? this.#lexer.feed(chunk, position) : this.#readRows(chunk, position);
		}
	}

	end(): DumpContent {
		return {
			complete: this.#complete && this.#table === undefined,
			rows: this.#rows,
			major: this.#major,
			roles: this.#roles,
			beyond: this.#beyond,
		};
	}

	/** Counts rows up to the line that ends them, or the end of the chunk. */
	#readRows(chunk: Buffer, start: number): number {
		for (let position = start; ; ) {
			const end = chunk.indexOf(newline, position);
			if (end < 0) {
				// Of a row only its first bytes matter.
				const rest = chunk.subarray(position, position + 3 - this.#begun.length);
				this.#begun = Buffer.concat([this.#begun, rest]);
				return chunk.length;
			}
			const line =
				this.#begun.length === 0 ? undefined : Buffer.concat([this.#begun, chunk.subarray(position, end)]);
			if (line) this.#begun = Buffer.alloc(0);
			const isEnd = line ? isEndOfCopy(line, 0, line.length) : isEndOfCopy(chunk, position, end);
			if (isEnd) {
				const table = this.#table as string;
				this.#rows.set(table, (this.#rows.get(table) ?? 0) + this.#count);
				this.#table = undefined;
				return end + 1;
			}
			this.#count++;
			position = end + 1;
		}
	}

	#statement(text: string): void {
		const copy = copyStatement.exec(text);
		if (copy) {
			this.#announced = copy[1];
			this.#count = 0;
			return;
		}
		if (beyondStatement.some((pattern) => pattern.test(text))) this.#beyond ??= text.slice(0, 100);
		for (const pattern of namesRole) {
			for (const role of pattern.exec(text)?.[1]?.match(new RegExp(name, "g")) ?? []) {
				const plain = role.startsWith('"') ? plainTableName(role) : role.toLowerCase();
				if (role.startsWith('"') || !noRole.has(plain)) this.#roles.add(plain);
			}
		}
	}

	#comment(text: string): void {
		if (text === "PostgreSQL database dump complete") this.#complete = true;
		const [, major] = /^Dumped from database version (\d+)/.exec(text) ?? [];
		if (major) this.#major = Number(major);
	}
}

/** Name of a table without SQL's quoting, so that two ways of quoting it compare equal. */
export function plainTableName(name: string): string {
	return name.replace(/"((?:[^"]|"")*)"/g, (_, inner: string) => inner.replaceAll('""', '"'));
}

function isEndOfCopy(bytes: Buffer, start: number, end: number): boolean {
	return end - start === 2 && bytes[start] === backslash && bytes[start + 1] === point;
}
