/**
 * Exchanges what is in a directory that cannot itself be renamed, such as the root of a volume, with what was
 * staged in a hidden directory inside it. Every step is one rename, and what is still to be done follows from
 * the phase, which is on the disk before the first step of it, and from what lies where. So it can be killed
 * at any moment, and then be continued or turned back, as often as one likes.
 *
 * Nobody else may use the directory meanwhile.
 *
 * ```
 * <root>/…                       what is live
 * <root>/<hidden>/new/…          what is to be live
 * <root>/<hidden>/old/…          what was live
 * <root>/<hidden>/exchange.json  the phase; absent when all is as before
 * ```
 */
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	chownSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
} from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { syncDirectory, writeDurably } from "./durable-file.ts";

/** Start of the names, at the root of a volume, that are no part of its data. */
export const hiddenPrefix = ".persistent-stack";

/** The directory in which a restore stages the new content of a volume, and keeps the old. */
export function stagingName(id: string): string {
	return `${hiddenPrefix}-restore-${id}`;
}

/** A directory's own attributes; its content is exchanged, and so are these. */
const attributesSchema = z.object({
	mode: z.number().int(),
	uid: z.number().int(),
	gid: z.number().int(),
	/** Nanoseconds since 1970. */
	modified: z.string().regex(/^-?\d+$/),
});
type Attributes = z.infer<typeof attributesSchema>;

/**
 * - `clearing`: what is at the root is old, and goes to `old`;
 * - `placing`: `old` is complete; what is in `new` goes to the root;
 * - `exchanged`: done;
 * - `returning`: what is at the root is new, and goes back to `new`;
 * - `refilling`: what is at the root is old again; what is in `old` goes there.
 */
const stateSchema = z.object({
	phase: z.enum(["clearing", "placing", "exchanged", "returning", "refilling"]),
	before: attributesSchema,
	after: attributesSchema,
});
type State = z.infer<typeof stateSchema>;

/** Where an exchange stands. */
export type ExchangeState = "as-before" | "under-way" | "exchanged";

/** Somebody writes into the directory whose content is being exchanged. */
export class DisturbedError extends Error {
	override readonly name = "DisturbedError";
}

export class Exchange {
	readonly #root: string;
	readonly #hidden: string;

	constructor(root: string, hiddenName: string) {
		this.#root = root;
		this.#hidden = join(root, hiddenName);
	}

	/** The directory for the new content. */
	get new(): string {
		return join(this.#hidden, "new");
	}

	/** The directory of the old content. */
	get old(): string {
		return join(this.#hidden, "old");
	}

	/**
	 * Makes the directory for the new content, with the attributes that the root has. The root does not show it:
	 * its time of change stays.
	 */
	prepare(): void {
		keepingTime(this.#root, () => mkdirSync(this.#hidden, { mode: 0o700 }));
		mkdirSync(this.new);
		setAttributes(this.new, attributesOf(this.#root));
	}

	/** Removes what is not live: after `back` the new content, after `forward` the old. */
	remove(): void {
		if (this.state() === "under-way") throw new Error(`the exchange in ${this.#root} is under way`);
		keepingTime(this.#root, () => rmSync(this.#hidden, { recursive: true, force: true }));
	}

	/** Keeps the old content under another name at the root, and removes the rest; may be repeated. */
	keepOld(name: string): void {
		if (existsSync(this.old)) {
			if (this.state() !== "exchanged") throw new Error(`the exchange in ${this.#root} is not complete`);
			keepingTime(this.#root, () => renameSync(this.old, join(this.#root, name)));
		}
		this.remove();
	}

	state(): ExchangeState {
		const phase = this.#read()?.phase;
		if (phase === undefined) return "as-before";
		return phase === "exchanged" ? "exchanged" : "under-way";
	}

	/**
	 * Puts the new content into place.
	 *
	 * @throws DisturbedError when somebody else writes there: nothing is overwritten.
	 */
	async forward(): Promise<void> {
		let state = this.#read();
		if (state?.phase === "returning" || state?.phase === "refilling") {
			await this.back();
			state = undefined;
		}
		if (state === undefined) {
			mkdirSync(this.old, { mode: 0o700, recursive: true });
			state = { phase: "clearing", before: attributesOf(this.#root), after: attributesOf(this.new) };
			await this.#write(state);
		}
		if (state.phase === "clearing") {
			await this.#moveAll(this.#root, this.old);
			state = await this.#enter(state, "placing");
		}
		if (state.phase === "placing") {
			await this.#moveAll(this.new, this.#root);
			setAttributes(this.#root, state.after);
			await syncDirectory(this.#root);
			await this.#enter(state, "exchanged");
		}
	}

	/** Puts the old content back into place, and the new one where it was. @throws DisturbedError as above. */
	async back(): Promise<void> {
		let state = this.#read();
		if (state === undefined) return;
		if (state.phase === "clearing") state = await this.#enter(state, "refilling");
		if (state.phase === "placing" || state.phase === "exchanged")
			state = await this.#enter(state, "returning");
		if (state.phase === "returning") {
			await this.#moveAll(this.#root, this.new);
			setAttributes(this.new, state.after);
			state = await this.#enter(state, "refilling");
		}
		await this.#moveAll(this.old, this.#root);
		setAttributes(this.#root, state.before);
		await syncDirectory(this.#root);
		rmSync(this.#stateFile);
		await syncDirectory(this.#hidden);
	}

	get #stateFile(): string {
		return join(this.#hidden, "exchange.json");
	}

	#read(): State | undefined {
		if (!existsSync(this.#stateFile)) return undefined;
		return stateSchema.parse(JSON.parse(readFileSync(this.#stateFile, "utf8")));
	}

	async #write(state: State): Promise<void> {
		await writeDurably(this.#stateFile, JSON.stringify(state));
	}

	async #enter(state: State, phase: State["phase"]): Promise<State> {
		const next = { ...state, phase };
		await this.#write(next);
		return next;
	}

	/** Names are bytes: not every file's name is text. */
	async #moveAll(from: string, to: string): Promise<void> {
		const source = Buffer.from(`${from}/`);
		const target = Buffer.from(`${to}/`);
		const hidden = Buffer.from(hiddenPrefix);
		for (const name of readdirSync(Buffer.from(from), { encoding: "buffer" })) {
			if (name.subarray(0, hidden.length).equals(hidden)) continue;
			const place = Buffer.concat([target, name]);
			if (exists(place)) {
				throw new DisturbedError(
					`${name} appeared in ${this.#root} while its content was being exchanged; it was not overwritten. Stop what writes there, move ${name} away, and try again`,
				);
			}
			renameSync(Buffer.concat([source, name]), place);
		}
		// Both sides, before the next phase is written: renames of two directories reach the disk in any order.
		await syncDirectory(to);
		await syncDirectory(from);
	}
}

function exists(path: Buffer): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function attributesOf(directory: string): Attributes {
	const { mode, uid, gid, mtimeNs } = statSync(directory, { bigint: true });
	return { mode: Number(mode) & 0o7777, uid: Number(uid), gid: Number(gid), modified: String(mtimeNs) };
}

function setAttributes(directory: string, { mode, uid, gid, modified }: Attributes): void {
	chownSync(directory, uid, gid);
	chmodSync(directory, mode);
	// Node takes times as floating-point seconds, which cannot hold nanoseconds.
	const nanoseconds = BigInt(modified);
	const seconds = nanoseconds / 1_000_000_000n;
	const rest = String(nanoseconds % 1_000_000_000n).padStart(9, "0");
	execFileSync("touch", [`--date=@${seconds}.${rest}`, directory]);
}

/** Does something in a directory that is not to show in its time of change. */
function keepingTime(directory: string, work: () => void): void {
	const attributes = attributesOf(directory);
	work();
	setAttributes(directory, attributes);
}
