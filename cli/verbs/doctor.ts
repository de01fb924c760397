/** `stack doctor`: what is wrong with the stack or about to be, each line with the command that mends it. */
import type { Invocation, VerbContext } from "../context.ts";
import { type Line, type Report, runProbes, type Verdict } from "../doctor/probe.ts";
import { probes } from "../doctor/probes.ts";
import { exitCodes } from "../errors.ts";
import { count, duration, type Output } from "../output.ts";

export async function doctor(context: VerbContext, { options }: Invocation): Promise<number> {
	const { output, stack, signal } = context;
	const deep = Boolean(options.deep);
	const started = performance.now();
	const seconds = () => (performance.now() - started) / 1000;
	let pending: readonly string[] = [];
	output.underWay(() => `… looking at ${pending.join(", ")}  ${duration(seconds())}`);
	const chosen = probes.filter((probe) => deep || !probe.deep);
	const report = await runProbes(context, chosen, (topics) => {
		pending = topics;
	}).finally(() => output.underWay(undefined));
	signal.throwIfAborted();
	const healthy = report.lines.every(({ verdict }) => verdict !== "fail");
	output.data(stack, {
		healthy,
		deep,
		seconds: seconds(),
		findings: report.lines.map(({ topic, verdict, message, fix = null, case: recognised = null }) => ({
			...{ topic, verdict, message, fix, case: recognised },
		})),
		skipped: report.skipped,
	});
	output.result(reportText(report, output));
	output.result(`\n${summary(report)}, in ${duration(seconds())}`);
	if (!deep) {
		output.progress(`\n  ${context.command("doctor --deep")}  also reads the database and the newest backup`);
	}
	return healthy ? exitCodes.done : exitCodes.failed;
}

const styles: Readonly<Record<Verdict, Parameters<Output["style"]>[0]>> = {
	ok: "green",
	warn: "yellow",
	fail: ["red", "bold"],
};

/** Lines for a person, broken at the width of the terminal. */
export function reportText(report: Report, output: Output, width = process.stdout.columns ?? 100): string {
	const topics = [...report.lines, ...report.skipped].map(({ topic }) => topic.length);
	const column = Math.max(0, ...topics) + 2;
	const indent = " ".repeat(6 + column);
	const wrap = (text: string) => wrapped(text, Math.max(40, width - indent.length)).join(`\n${indent}`);
	const lines = report.lines.map(({ verdict, topic, message, fix }, index) => {
		const shown = report.lines[index - 1]?.topic === topic ? "" : topic;
		const head = `${output.style(styles[verdict], verdict.padEnd(6))}${shown.padEnd(column)}${wrap(message)}`;
		return fix ? `${head}\n${indent.slice(0, -5)}${output.style("cyan", "fix")}  ${wrap(fix)}` : head;
	});
	for (const [reason, which] of Map.groupBy(report.skipped, ({ reason }) => reason)) {
		const text = `not looked at, because ${reason}: ${which.map(({ topic }) => topic).join(", ")}`;
		lines.push(`${output.style("dim", "-".padEnd(6 + column))}${wrap(text)}`);
	}
	return lines.join("\n");
}

export function summary({ lines, skipped }: Report): string {
	const number = (verdict: Verdict) => lines.filter((line: Line) => line.verdict === verdict).length;
	return [
		`${number("ok")} ok`,
		count(number("warn"), "warning"),
		count(number("fail"), "failure"),
		...(skipped.length > 0 ? [`${skipped.length} not looked at`] : []),
	].join(", ");
}

/** Broken between words; a word that is longer stays whole, so that it can be copied. */
function wrapped(text: string, width: number): string[] {
	return text.split("\n").flatMap((paragraph) => {
		const lines = [""];
		for (const word of paragraph.split(" ")) {
			const last = lines.at(-1) ?? "";
			if (last === "") lines[lines.length - 1] = word;
			else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
			else lines.push(word);
		}
		return lines;
	});
}
