/** What a probe of `stack doctor` is, and how all of them are run at once. */
import type { VerbContext } from "../context.ts";
import { failureOf } from "../failure.ts";
import type { CaseName } from "./cases.ts";
import { Facts, type Need } from "./facts.ts";
import { TooSlowError, within } from "./time-limit.ts";

export type Verdict = "ok" | "warn" | "fail";

/** One thing that was found. */
export interface Finding {
	readonly verdict: Verdict;
	/** What is so, and what follows from it. */
	readonly message: string;
	/** The command that mends it. */
	readonly fix?: string;
	/** Which of the specification's troubleshooting cases it is. */
	readonly case?: CaseName;
}

export interface Probe {
	/** A word or two, at the head of its lines. */
	readonly topic: string;
	/** Without these it is not run; whoever lacks is told by a probe of its own. */
	readonly needs: readonly Need[];
	/** Whether it reads data from end to end, and so runs with --deep only. */
	readonly deep?: boolean;
	/** Seconds after which it is given up. */
	readonly seconds: number;
	readonly look: (facts: Facts) => Promise<readonly Finding[]>;
}

export interface Line extends Finding {
	readonly topic: string;
}

export interface Report {
	readonly lines: readonly Line[];
	/** Probes that could not look, and why. */
	readonly skipped: readonly { readonly topic: string; readonly reason: string }[];
}

/**
 * Runs the probes side by side; none of them can hold the others up or bring them down.
 *
 * @param onChange told which ones are still looking.
 */
export async function runProbes(
	context: VerbContext,
	probes: readonly Probe[],
	onChange: (pending: readonly string[]) => void,
): Promise<Report> {
	const end = new AbortController();
	const facts = new Facts({ ...context, signal: AbortSignal.any([context.signal, end.signal]) });
	const pending = new Set(probes.map(({ topic }) => topic));
	const report = { lines: [] as Line[], skipped: [] as { topic: string; reason: string }[] };
	try {
		onChange([...pending]);
		const results = await Promise.all(
			probes.map(async (probe) => {
				const result = await runProbe(facts, probe);
				pending.delete(probe.topic);
				onChange([...pending]);
				return result;
			}),
		);
		context.signal.throwIfAborted();
		for (const [index, result] of results.entries()) {
			const topic = probes[index]?.topic ?? "";
			if (typeof result === "string") report.skipped.push({ topic, reason: result });
			else report.lines.push(...result.map((finding) => ({ topic, ...finding })));
		}
		return report;
	} finally {
		// Whatever was given up is ended.
		end.abort();
	}
}

/** What it found; a text says why it could not look. */
async function runProbe(facts: Facts, probe: Probe): Promise<readonly Finding[] | string> {
	for (const need of probe.needs) {
		const lack = await facts.lacks(need);
		if (lack) return lack;
	}
	try {
		return await within(probe.seconds, probe.look(facts));
	} catch (error) {
		const { message, fix } = failureOf(error);
		const verdict = error instanceof TooSlowError ? "warn" : "fail";
		return [fix === undefined ? { verdict, message } : { verdict, message, fix }];
	}
}
