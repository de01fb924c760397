/** The scheduler's uploads: after each recovery point, at the start, and again when one failed. */
import type { RunContext } from "../recovery-point.ts";
import { copyOffsite } from "./copy-offsite.ts";

export class Uploads {
	readonly #context: RunContext;
	#going: Promise<void> | undefined;
	#isAsked = false;
	#failures = 0;
	#timer: NodeJS.Timeout | undefined;

	constructor(context: RunContext) {
		this.#context = context;
		context.signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
	}

	/** Uploads what is missing, now or when the upload that is under way has ended. Backups do not wait for it. */
	request(): void {
		if (!this.#context.config.offsite) return;
		clearTimeout(this.#timer);
		this.#isAsked = true;
		this.#going ??= this.#run().finally(() => {
			this.#going = undefined;
		});
	}

	/** Resolves when none is under way. */
	async end(): Promise<void> {
		await this.#going;
	}

	async #run(): Promise<void> {
		const { config, report, signal } = this.#context;
		while (this.#isAsked && !signal.aborted) {
			this.#isAsked = false;
			const copied = await copyOffsite(this.#context);
			const isGood = copied?.outcome === "success";
			this.#failures = isGood ? 0 : this.#failures + 1;
			if (isGood && copied.uploaded.length > 0)
				report({ event: "done", message: `offsite: ${copied.uploaded.join(", ")}` });
		}
		if (this.#failures === 0 || signal.aborted) return;
		const pauses = config.offsite?.retryMinutes ?? [];
		const pause = pauses[Math.min(this.#failures, pauses.length) - 1];
		if (pause !== undefined) this.#timer = setTimeout(() => this.request(), pause * 60_000);
	}
}
