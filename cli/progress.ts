/** What an engine does, as it happens: one line for each object that changes. */
import type { EngineEvent, Step } from "../engine/engine.ts";
import { duration, type Output } from "./output.ts";
import { describe, doneWord } from "./plan.ts";

export class EngineProgress {
	readonly #output: Output;
	readonly #prefix: string;
	readonly #signal: AbortSignal;
	readonly #underWay = new Map<string, { step: Step; since: number }>();
	readonly #failures: string[] = [];
	#hint = "";
	readonly #started = performance.now();

	constructor(output: Output, prefix: string, signal: AbortSignal) {
		this.#output = output;
		this.#prefix = prefix;
		this.#signal = signal;
	}

	/** Shows that the engine works, until `end`. */
	begin(what: string): void {
		this.#output.underWay(() => this.#line(what));
	}

	end(): void {
		this.#output.underWay(undefined);
	}

	/** Messages of failed steps, which not every engine repeats in its error. */
	get failures(): readonly string[] {
		return this.#failures;
	}

	readonly onEvent = (event: EngineEvent): void => {
		if (event.kind === "message") {
			if (event.severity === "warning") this.#output.warning(event.text);
			else if (event.severity === "error") this.#failures.push(event.text);
			else this.#hint = event.text;
			return;
		}
		const { step } = event;
		if (/^(pulumi|persistent-stack):/.test(step.type)) return;
		if (event.kind === "started") {
			this.#underWay.set(step.urn, { step, since: performance.now() });
			return;
		}
		this.#underWay.delete(step.urn);
		this.#hint = "";
		if (event.kind === "failed") {
			this.#failures.push(event.message);
			const word = this.#signal.aborted ? "cut off" : "failed";
			this.#output.progress(this.#stepLine(this.#output.styleMessage("red", word.padEnd(9)), step).trimEnd());
			return;
		}
		if (step.operation === "same") return;
		const word = doneWord(step, describe(step, this.#prefix).kind).padEnd(9);
		const time = event.seconds < 0.1 ? "" : `  ${this.#output.styleMessage("dim", duration(event.seconds))}`;
		this.#output.progress(`${this.#stepLine(this.#colored(word, step), step)}${time}`.trimEnd());
	};

	#stepLine(word: string, step: Step): string {
		const { kind, name } = describe(step, this.#prefix);
		return `${word} ${kind.padEnd(10)} ${name.padEnd(30)}`;
	}

	#colored(word: string, { operation }: Step): string {
		const format = operation === "create" ? "green" : operation === "delete" ? "red" : "yellow";
		return this.#output.styleMessage(format, word);
	}

	#line(what: string): string {
		const now = performance.now();
		if (this.#underWay.size === 0) return `… ${what}  ${duration((now - this.#started) / 1000)}`;
		const steps = [...this.#underWay.values()].map(({ step, since }) => {
			const { kind, name } = describe(step, this.#prefix);
			return `${kind} ${name} ${duration((now - since) / 1000)}`;
		});
		return `… ${steps.join(", ")}${this.#hint ? `  ${this.#hint}` : ""}`;
	}
}
