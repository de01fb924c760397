/** Shows what the agent reports: bytes, rate and time left on a terminal, one plain line a step otherwise. */
import type { ProgressEvent } from "../agent/progress.ts";
import { duration, formatBytes, type Output } from "./output.ts";

export class AgentProgress {
	readonly #output: Output;
	readonly #translate: (text: string) => string;
	#step: string | undefined;
	#started = 0;
	#latest: ProgressEvent | undefined;

	/** @param translate from the words of the container to those of the host. */
	constructor(output: Output, translate: (text: string) => string = (text) => text) {
		this.#output = output;
		this.#translate = translate;
	}

	show(event: ProgressEvent): void {
		if (event.event === "warning") this.#output.warning(this.#translate(event.message ?? ""));
		else if (event.event === "step") this.#begin(event);
		else if (event.event === "progress") this.#latest = event;
	}

	/** Ends the step that is under way. */
	end(good: boolean): void {
		const step = this.#step;
		this.#step = undefined;
		this.#output.underWay(undefined);
		if (step === undefined || !good) return;
		const time = this.#output.styleMessage("dim", duration((performance.now() - this.#started) / 1000));
		this.#output.progress(`done      ${step}  ${time}`);
	}

	#begin(event: ProgressEvent): void {
		this.end(true);
		this.#step = event.step ?? "";
		this.#started = performance.now();
		this.#latest = event;
		this.#output.underWay(() => `… ${this.#step}  ${progressText(this.#latest ?? event, this.#seconds())}`);
	}

	#seconds(): number {
		return (performance.now() - this.#started) / 1000;
	}
}

/**
 * `52% of 1.2G, 130M/s, 5 s left`; before anything is counted, the time so far. Where there is more than was
 * expected, nobody knows how much more.
 */
export function progressText(
	{ bytes = 0, total = 0, bytesPerSecond = 0, secondsLeft }: Omit<ProgressEvent, "event">,
	seconds: number,
): string {
	if (bytes === 0 || total === 0) return duration(seconds);
	const rate = `${formatBytes(bytesPerSecond)}/s`;
	if (bytes >= total) return `${formatBytes(bytes)}, ${rate}`;
	const percent = `${Math.floor((bytes / total) * 100)}% of ${formatBytes(total)}`;
	const left =
		secondsLeft === undefined
			? ""
			: `, ${secondsLeft < 60 ? `${secondsLeft} s` : duration(secondsLeft)} left`;
	return `${percent}, ${rate}${left}`;
}
