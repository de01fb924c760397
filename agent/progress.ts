/** Progress of a run: lines of JSON on stderr, for whoever shows it. */

export interface ProgressEvent {
	/** `made`: a recovery point is complete and stays, however the run goes on. */
	readonly event: "progress" | "step" | "warning" | "made" | "done" | "failed";
	/** What is going on, in a few words. */
	readonly step?: string;
	/** Bytes handled and expected; the expectation is an estimate until the end. */
	readonly bytes?: number;
	readonly total?: number;
	readonly bytesPerSecond?: number;
	readonly secondsLeft?: number;
	readonly message?: string;
}

export type Report = (event: ProgressEvent) => void;

const pause = 500;

/** Counts bytes of one step and reports twice a second. */
export class Progress {
	readonly #report: Report;
	readonly #step: string;
	readonly #started = Date.now();
	#total: number;
	#bytes = 0;
	#last = Date.now();

	constructor(report: Report, step: string, total: number) {
		this.#report = report;
		this.#step = step;
		this.#total = total;
		report({ event: "step", step, total });
	}

	add(bytes: number): void {
		this.set(this.#bytes + bytes);
	}

	set(bytes: number): void {
		this.#bytes = bytes;
		const now = Date.now();
		if (now - this.#last < pause) return;
		this.#last = now;
		this.#total = Math.max(this.#total, bytes);
		const seconds = (now - this.#started) / 1000;
		const rate = seconds > 0 ? bytes / seconds : 0;
		this.#report({
			event: "progress",
			step: this.#step,
			bytes,
			total: this.#total,
			bytesPerSecond: Math.round(rate),
			secondsLeft: rate > 0 ? Math.ceil((this.#total - bytes) / rate) : undefined,
		});
	}
}

/** Writes each event as one line of JSON. */
export const reportToStderr: Report = (event) => {
	process.stderr.write(`${JSON.stringify(event)}\n`);
};
