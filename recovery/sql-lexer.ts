/**
 * Splits SQL, as psql reads it, into statements, comments and psql's own commands, as a stream. It knows what is
 * quoted, so that a line within a function's body or a text is not taken for a statement.
 */

export interface LexerEvents {
	/** A statement without its semicolon. Of a very long one, the beginning. */
	readonly statement: (text: string) => void;
	/** A comment of one line, without the dashes. */
	readonly comment?: (text: string) => void;
	/** A command of psql, without the backslash. */
	readonly command?: (text: string) => void;
	/** The end of a line outside quotes and comments. When it says true, the caller takes what follows itself. */
	readonly lineEnd?: () => boolean;
}

/** What of a statement or comment is kept. */
const longestText = 1 << 20;

const byte = {
	newline: 0x0a,
	doubleQuote: 0x22,
	dollar: 0x24,
	singleQuote: 0x27,
	star: 0x2a,
	dash: 0x2d,
	slash: 0x2f,
	semicolon: 0x3b,
	backslash: 0x5c,
} as const;

/** Bytes that may end a plain stretch of a statement. */
const special: ReadonlySet<number> = new Set(Object.values(byte));

type State =
	| "plain"
	| "text"
	| "escaped-text"
	| "identifier"
	| "tag"
	| "dollar-text"
	| "comment"
	| "block-comment"
	| "command";

export class SqlLexer {
	readonly #events: LexerEvents;
	#state: State = "plain";
	/** What has been kept of the statement, comment or command. */
	#kept: Buffer[] = [];
	#keptLength = 0;
	#aside: Buffer[] = [];
	/** The last two bytes, whatever they are in. */
	#previous = 0;
	#beforePrevious = 0;
	/** A text with escapes was just closed: a quote now reopens it. */
	#reopens = false;
	#escaped = false;
	#tag = "";
	#tail = "";
	#depth = 0;

	constructor(events: LexerEvents) {
		this.#events = events;
	}

	/** Reads a chunk from `start`. @returns where it stopped: the end, or where the caller takes over. */
	feed(chunk: Buffer, start: number): number {
		let position = start;
		while (position < chunk.length) {
			if (this.#state === "plain") {
				const next = this.#plain(chunk, position);
				if (next < 0) return -next;
				position = next;
			} else position = this.#within(chunk, position);
		}
		return position;
	}

	/** Reads bytes outside quotes and comments up to the next special one. Negative: the caller takes over there. */
	#plain(chunk: Buffer, start: number): number {
		let position = start;
		while (position < chunk.length && !special.has(chunk[position] as number)) position++;
		this.#keep(chunk, start, position);
		if (position > start) {
			this.#beforePrevious = position - start > 1 ? (chunk[position - 2] as number) : this.#previous;
			this.#previous = chunk[position - 1] as number;
			this.#reopens = false;
		}
		if (position === chunk.length) return position;
		const current = chunk[position] as number;
		const end = position + 1;
		let next: State = "plain";
		if (current === byte.semicolon) {
			this.#step(current);
			this.#events.statement(this.#take());
			return end;
		}
		if (current === byte.backslash) {
			this.#step(current);
			this.#begin("command");
			return end;
		}
		if (current === byte.singleQuote) next = this.#opensEscaped() ? "escaped-text" : "text";
		else if (current === byte.doubleQuote) next = "identifier";
		else if (current === byte.dollar && !isNamePart(this.#previous)) {
			next = "tag";
			this.#tag = "$";
		} else if (current === byte.dash && this.#previous === byte.dash) {
			this.#unkeep();
			this.#step(0);
			this.#begin("comment");
			return end;
		} else if (current === byte.star && this.#previous === byte.slash) {
			this.#unkeep();
			this.#step(0);
			this.#depth = 1;
			this.#state = "block-comment";
			return end;
		}
		this.#keep(chunk, position, end);
		this.#step(current);
		this.#state = next;
		if (current === byte.newline && this.#events.lineEnd?.()) return -end;
		return end;
	}

	#within(chunk: Buffer, start: number): number {
		switch (this.#state) {
			case "text":
				return this.#quoted(chunk, start, byte.singleQuote);
			case "identifier":
				return this.#quoted(chunk, start, byte.doubleQuote);
			case "escaped-text":
				return this.#escapedText(chunk, start);
			case "tag":
				return this.#readTag(chunk, start);
			case "dollar-text":
				return this.#dollarText(chunk, start);
			case "block-comment":
				return this.#blockComment(chunk, start);
			default:
				return this.#toLineEnd(chunk, start);
		}
	}

	/** A doubled quote ends the text and begins it again, which comes to the same. */
	#quoted(chunk: Buffer, start: number, quote: number): number {
		const found = chunk.indexOf(quote, start);
		const end = found < 0 ? chunk.length : found + 1;
		this.#keep(chunk, start, end);
		if (found >= 0) this.#close(quote);
		return end;
	}

	#escapedText(chunk: Buffer, start: number): number {
		let position = start;
		while (position < chunk.length) {
			const current = chunk[position++];
			if (this.#escaped) this.#escaped = false;
			else if (current === byte.backslash) this.#escaped = true;
			else if (current === byte.singleQuote) {
				this.#keep(chunk, start, position);
				this.#close(byte.singleQuote);
				this.#reopens = true;
				return position;
			}
		}
		this.#keep(chunk, start, position);
		return position;
	}

	/** `$name$`; a dollar that does not begin one, such as in `$1`, is nothing special. */
	#readTag(chunk: Buffer, start: number): number {
		const current = chunk[start] as number;
		const isDollar = current === byte.dollar;
		if (!isDollar && (!isNamePart(current) || (this.#tag === "$" && isDigit(current)))) {
			this.#state = "plain";
			return start;
		}
		this.#tag += String.fromCharCode(current);
		this.#keep(chunk, start, start + 1);
		this.#step(current);
		if (isDollar) {
			this.#state = "dollar-text";
			this.#tail = "";
		}
		return start + 1;
	}

	#dollarText(chunk: Buffer, start: number): number {
		// The tag may lie across two chunks: its first bytes are the tail of what was read before.
		const head = this.#tail + chunk.toString("latin1", start, start + this.#tag.length - 1);
		const across = head.indexOf(this.#tag);
		const found =
			across >= 0 ? start + across - this.#tail.length : chunk.indexOf(this.#tag, start, "latin1");
		const end = found < start && across < 0 ? chunk.length : found + this.#tag.length;
		this.#keep(chunk, start, end);
		if (found < start && across < 0) {
			const seen = this.#tail + chunk.toString("latin1", Math.max(start, end - this.#tag.length), end);
			this.#tail = seen.slice(-(this.#tag.length - 1));
		} else this.#close(byte.dollar);
		return end;
	}

	#blockComment(chunk: Buffer, start: number): number {
		const current = chunk[start] as number;
		if (this.#previous === byte.slash && current === byte.star) {
			this.#depth++;
			this.#step(0);
		} else if (this.#previous === byte.star && current === byte.slash) {
			this.#depth--;
			this.#step(0);
			if (this.#depth === 0) this.#state = "plain";
		} else this.#step(current);
		return start + 1;
	}

	/** The line end itself is left to what follows. */
	#toLineEnd(chunk: Buffer, start: number): number {
		const found = chunk.indexOf(byte.newline, start);
		const end = found < 0 ? chunk.length : found;
		this.#keep(chunk, start, end);
		if (found < 0) return end;
		const tell = this.#state === "comment" ? this.#events.comment : this.#events.command;
		this.#state = "plain";
		const text = this.#take();
		[this.#kept, this.#aside] = [this.#aside, []];
		this.#keptLength = this.#kept.reduce((total, part) => total + part.length, 0);
		tell?.(text);
		return end;
	}

	/** A comment or command may stand within a statement, which goes on after it. */
	#begin(state: "comment" | "command"): void {
		this.#state = state;
		[this.#aside, this.#kept] = [this.#kept, []];
		this.#keptLength = 0;
	}

	#close(last: number): void {
		this.#state = "plain";
		this.#step(last);
	}

	#step(current: number): void {
		this.#beforePrevious = this.#previous;
		this.#previous = current;
		this.#reopens = false;
	}

	/** Whether a quote now begins a text in which a backslash escapes: `E'…'`. */
	#opensEscaped(): boolean {
		if (this.#reopens) return true;
		const letter = this.#previous === 0x45 || this.#previous === 0x65;
		return letter && !isNamePart(this.#beforePrevious);
	}

	#keep(chunk: Buffer, start: number, end: number): void {
		const room = longestText - this.#keptLength;
		if (end <= start || room <= 0) return;
		// A copy: the caller may use the chunk's memory again.
		const part = Buffer.from(chunk.subarray(start, Math.min(end, start + room)));
		this.#kept.push(part);
		this.#keptLength += part.length;
	}

	/** Takes back the first byte of what turned out to begin a comment. */
	#unkeep(): void {
		const last = this.#kept.pop();
		if (!last) return;
		this.#keptLength--;
		if (last.length > 1) this.#kept.push(last.subarray(0, -1));
	}

	#take(): string {
		const text = Buffer.concat(this.#kept).toString("utf8").trim();
		this.#kept = [];
		this.#keptLength = 0;
		return text;
	}
}

/** The statements of a short text. */
export function statementsOf(sql: string): string[] {
	const statements: string[] = [];
	const lexer = new SqlLexer({ statement: (text) => statements.push(text) });
	lexer.feed(Buffer.from(sql), 0);
	return statements;
}

function isDigit(value: number): boolean {
	return value >= 0x30 && value <= 0x39;
}

/** Whether a byte can be part of a name that is not quoted. */
function isNamePart(value: number): boolean {
	return (
		isDigit(value) ||
		value === 0x5f ||
		value >= 0x80 ||
		(value >= 0x41 && value <= 0x5a) ||
		(value >= 0x61 && value <= 0x7a)
	);
}
