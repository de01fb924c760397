/**
 * Where words go: the result to stdout, progress and messages to stderr. With --json stdout carries one JSON
 * document and nothing else.
 */
import { styleText } from "node:util";
import Table from "cli-table3";

type Format = Parameters<typeof styleText>[0];
type Stream = NodeJS.WriteStream;

export interface OutputOptions {
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly color?: boolean;
	readonly stdout?: Stream;
	readonly stderr?: Stream;
}

export const schemaVersion = 1;

/** Time between two redraws of the line that changes in place, in milliseconds. */
const redraw = 200;

export class Output {
	readonly json: boolean;
	readonly quiet: boolean;
	readonly #color: boolean;
	readonly #stdout: Stream;
	readonly #stderr: Stream;
	#transient = "";
	#timer: NodeJS.Timeout | undefined;

	constructor(options: OutputOptions = {}) {
		this.json = options.json ?? false;
		this.quiet = options.quiet ?? false;
		this.#color = options.color ?? true;
		this.#stdout = options.stdout ?? process.stdout;
		this.#stderr = options.stderr ?? process.stderr;
	}

	/** Text of the result. Nothing with --json. */
	result(text = ""): void {
		if (this.json) return;
		this.#clear();
		this.#stdout.write(`${text}\n`);
	}

	/** The result as JSON. Nothing without --json. */
	data(stack: string, fields: Readonly<Record<string, unknown>>): void {
		if (!this.json) return;
		this.#stdout.write(`${JSON.stringify({ schemaVersion, stack, ...fields })}\n`);
	}

	/** A line of what is going on; silent with --quiet. */
	progress(text = ""): void {
		if (!this.quiet) this.#message(text);
	}

	/** What a question is about; shown even with --quiet. */
	notice(text: string): void {
		this.#message(text);
	}

	/** A line that matters even with --quiet. */
	warning(text: string): void {
		this.#message(`${this.styleMessage("yellow", "warning")}  ${text}`);
	}

	/** An error and what mends it. */
	failure(message: string, fix?: string): void {
		this.#message(`${this.styleMessage("red", "error")}  ${message}`);
		if (fix) this.#message(`${this.styleMessage("cyan", "fix")}    ${fix}`);
	}

	/**
	 * Shows what is under way in one line that is overwritten, on a terminal only.
	 *
	 * @param text asked for again at each redraw; undefined ends the line.
	 */
	underWay(text: (() => string) | undefined): void {
		clearInterval(this.#timer);
		this.#clear();
		if (!text || this.quiet || !this.#stderr.isTTY || process.env.TERM === "dumb") return;
		const draw = () => {
			this.#clear();
			this.#transient = cut(text(), (this.#stderr.columns ?? 80) - 1);
			if (this.#transient) this.#stderr.write(this.styleMessage("dim", this.#transient));
		};
		draw();
		this.#timer = setInterval(draw, redraw);
		this.#timer.unref();
	}

	/** Styles a part of the result, where stdout can show it. */
	style(format: Format, text: string): string {
		return this.#color ? styleText(format, text, { stream: this.#stdout }) : text;
	}

	/** Styles a part of a message, where stderr can show it. */
	styleMessage(format: Format, text: string): string {
		return this.#color ? styleText(format, text, { stream: this.#stderr }) : text;
	}

	#message(text: string): void {
		this.#clear();
		this.#stderr.write(`${text}\n`);
	}

	#clear(): void {
		if (!this.#transient) return;
		this.#transient = "";
		this.#stderr.write("\r\x1b[K");
	}
}

/** A table without borders; the head in capitals, as `docker ps` prints it. Colours do not count as width. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	const parts = ["top", "bottom", "left", "right"].flatMap((side) =>
		["", "-mid", "-left", "-right"].map((part) => [`${side}${part}`, ""]),
	);
	const chars = {
		...Object.fromEntries(parts),
		mid: "",
		"left-mid": "",
		"mid-mid": "",
		"right-mid": "",
		middle: "   ",
	};
	const style = { head: [], border: [], "padding-left": 0, "padding-right": 0 };
	const drawn = new Table({ chars, style });
	drawn.push(
		head.map((title) => title.toUpperCase()),
		...rows.map((row) => [...row]),
	);
	return drawn
		.toString()
		.split("\n")
		.map((line) => line.trimEnd())
		.join("\n");
}

/** A time as a person says it. */
export function duration(seconds: number): string {
	if (seconds < 60) return `${seconds.toFixed(1)} s`;
	const whole = Math.round(seconds);
	return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** A size in bytes as `du -h` prints it: 8.0K, 42M. */
export function formatBytes(bytes: number): string {
	return bytes < 1024 ? `${Math.round(bytes)}B` : formatSize(bytes / 1024);
}

/** A size as `du -h` prints it: 8.0K, 42M, rounded up. */
export function formatSize(kibibytes: number): string {
	let size = kibibytes;
	for (const unit of ["K", "M", "G", "T"]) {
		const tenths = Math.ceil(size * 10) / 10;
		if (size === 0) return "0";
		if (tenths < 10) return `${tenths.toFixed(1)}${unit}`;
		if (Math.ceil(size) < 1024 || unit === "T") return `${Math.ceil(size)}${unit}`;
		size /= 1024;
	}
	return String(kibibytes);
}

/** How long something has been so: one unit, the largest. */
export function age(since: Date, now = new Date()): string {
	const seconds = Math.max(0, Math.floor((now.getTime() - since.getTime()) / 1000));
	const units: [number, string][] = [
		[86_400, "day"],
		[3600, "hour"],
		[60, "minute"],
		[1, "second"],
	];
	for (const [size, unit] of units) {
		const count = Math.floor(seconds / size);
		if (count > 0) return `${count} ${unit}${count === 1 ? "" : "s"}`;
	}
	return "0 seconds";
}

/** `1 image`, `2 images`. */
export function count(number: number, noun: string): string {
	return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The text in at most `width` characters, on one line. */
export function cut(text: string, width: number): string {
	const line = text.replace(/\s+/g, " ");
	return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
