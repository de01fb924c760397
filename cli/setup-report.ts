/** Shows the progress of the set-up (Docker, images) in the same form as that of an engine. */
import { duration, type Output } from "./output.ts";
import type { Report } from "./setup/report.ts";

export function setupReport(output: Output): Report {
	return {
		say: (text) => output.progress(text),
		step(title) {
			const started = performance.now();
			const elapsed = () => duration((performance.now() - started) / 1000);
			let detail = "";
			output.underWay(() => `… ${title}  ${elapsed()}${detail ? `  ${detail}` : ""}`);
			const end = (mark: string) => {
				output.underWay(undefined);
				output.progress(`${mark} ${title}  ${output.styleMessage("dim", elapsed())}`);
			};
			return {
				detail: (text) => {
					detail = text;
				},
				done: () => end("done     "),
				failed: () => end(output.styleMessage("red", "failed   ")),
			};
		},
	};
}
