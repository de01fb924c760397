/** Progress of the set-up. It goes to stderr: stdout belongs to the result of a verb. */
export interface Report {
	/** A remark that stays on the screen. */
	say(text: string): void;
	/** Begins a step, named by what is being done: "Building the image …". */
	step(title: string): Step;
}

/** One step under way. */
export interface Step {
	/** What the step is busy with now; shown on a terminal only. */
	detail(text: string): void;
	/** Ends the step well. */
	done(): void;
	/** Ends the step; the error itself is told by whoever catches it. */
	failed(): void;
}

/** Where a report is written. */
export interface ReportStream {
	isTTY?: boolean;
	columns?: number;
	write(text: string): unknown;
}

/**
 * A report for people: on a terminal one live line for what runs now and one line for each finished step;
 * elsewhere one plain line for each step's end, so that a log stays readable.
 *
 * @param stream where it goes. @default stderr
 */
export function createReport(stream: ReportStream = process.stderr): Report {
	const running = new Map<object, { title: string; detail: string }>();
	const isLive = stream.isTTY === true;

	function drawLive(): void {
		if (!isLive) return;
		const titles = [...running.values()].map((step) => step.title).join(", ");
		const detail = [...running.values()].at(-1)?.detail ?? "";
		const text = titles === "" ? "" : `… ${titles}${detail === "" ? "" : `: ${detail}`}`;
		// Erase the line, write what fits on it, and stay on it.
		stream.write(`\r\u001b[2K${printable(text).slice(0, (stream.columns ?? 80) - 1)}`);
	}
	function writeLine(text: string): void {
		stream.write(`${isLive ? "\r\u001b[2K" : ""}${text}\n`);
		drawLive();
	}

	return {
		say: writeLine,
		step(title) {
			const started = performance.now();
			const key = {};
			running.set(key, { title, detail: "" });
			drawLive();
			const end = (mark: string) => {
				if (!running.delete(key)) return;
				writeLine(`${mark} ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
			};
			return {
				detail(text) {
					const step = running.get(key);
					if (step === undefined) return;
					// Last in the map is the step whose detail is shown.
					running.delete(key);
					running.set(key, { ...step, detail: text });
					drawLive();
				},
				done: () => end("done"),
				failed: () => end("failed"),
			};
		},
	};
}

/** A report that tells nothing. */
export const silentReport: Report = {
	say: () => {},
	step: () => ({ detail: () => {}, done: () => {}, failed: () => {} }),
};

/** Runs work as one step of a report. */
export async function asStep<T>(
	report: Report,
	title: string,
	work: (detail: (text: string) => void) => Promise<T>,
): Promise<T> {
	const step = report.step(title);
	try {
		const result = await work(step.detail);
		step.done();
		return result;
	} catch (error) {
		step.failed();
		throw error;
	}
}

/** Tool output may hold colours and tabs, which would break the one live line. */
function printable(text: string): string {
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
	return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "").replace(/[\u0000-\u001f]/g, " ");
}
