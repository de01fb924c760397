/** Reads a plain SQL dump as a stream: whether it is whole, and how many rows it has of each table. */

/** What was seen in a dump. */
export interface DumpContent {
	/** Whether pg_dump's last line is there. */
	readonly complete: boolean;
	/** Rows per table, by the name as pg_dump writes it. */
	readonly rows: ReadonlyMap<string, number>;
}

const newline = 0x0a;
const backslash = 0x5c;
const point = 0x2e;
const longestStatement = 1 << 20;

/** Takes a dump in chunks. Rows are counted by their line ends: a line end within a value is escaped in COPY. */
export class DumpReader {
	readonly #rows = new Map<string, number>();
	#table: string | undefined;
	#count = 0;
	#line: Buffer = Buffer.alloc(0);
	#complete = false;

	add(chunk: Buffer): void {
		let start = 0;
		for (;;) {
			const end = chunk.indexOf(newline, start);
			if (end < 0) break;
			if (this.#table !== undefined && this.#line.length === 0 && !isEndOfCopy(chunk, start, end)) {
				this.#count++;
			} else {
				this.#endLine(
					this.#line.length
						? Buffer.concat([this.#line, chunk.subarray(start, end)])
						: chunk.subarray(start, end),
				);
				this.#line = Buffer.alloc(0);
			}
			start = end + 1;
		}
		// Of a row only its first bytes matter; of a statement all of it.
		const rest = chunk.subarray(start);
		const room = (this.#table === undefined ? longestStatement : 3) - this.#line.length;
		if (rest.length > 0 && room > 0) this.#line = Buffer.concat([this.#line, rest.subarray(0, room)]);
	}

	end(): DumpContent {
		return { complete: this.#complete && this.#table === undefined, rows: this.#rows };
	}

	#endLine(line: Buffer): void {
		if (this.#table !== undefined) {
			if (!isEndOfCopy(line, 0, line.length)) {
				this.#count++;
				return;
			}
			this.#rows.set(this.#table, (this.#rows.get(this.#table) ?? 0) + this.#count);
			this.#table = undefined;
			return;
		}
		if (line.length < 20) return;
		const text = line.toString("utf8");
		if (text === "-- PostgreSQL database dump complete") this.#complete = true;
		const copy = /^COPY ((?:"(?:[^"]|"")*"|[^\s."(])+\.(?:"(?:[^"]|"")*"|[^\s."(])+) .*FROM stdin;$/s.exec(
			text,
		);
		if (copy) {
			this.#table = copy[1];
			this.#count = 0;
		}
	}
}

/** Name of a table without SQL's quoting, so that two ways of quoting it compare equal. */
export function plainTableName(name: string): string {
	return name.replace(/"((?:[^"]|"")*)"/g, (_, inner: string) => inner.replaceAll('""', '"'));
}

function isEndOfCopy(bytes: Buffer, start: number, end: number): boolean {
	return end - start === 2 && bytes[start] === backslash && bytes[start + 1] === point;
}
