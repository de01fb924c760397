/** `stack preview`: what an up would do, and what becomes of each volume. */
import { findDataLoss } from "../../engine/data-guard.ts";
import type { Plan, Step } from "../../engine/engine.ts";
import { isForPulumiAlone } from "../../engine/local/foreign-types.ts";
import { changesAsJson, openStackEngine, run, summary } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { isRemote, requireDocker } from "../docker.ts";
import { exitCodes } from "../errors.ts";
import { type Output, table } from "../output.ts";
import {
	changes,
	describe,
	differenceLines,
	migrates,
	operationWords,
	type VolumeVerdict,
	volumeVerdicts,
} from "../plan.ts";
import { dockerHost } from "../setup/docker-host.ts";
import { findStackVolumes } from "../volumes.ts";

export async function preview(context: VerbContext, { options }: Invocation): Promise<number> {
	const { output } = context;
	if (!isRemote(dockerHost())) await requireDocker(context.signal);
	const volumes = await findStackVolumes(context);
	const existing = new Set(volumes.filter(({ found }) => found).map(({ key }) => key));
	const engine = await openStackEngine(context);
	output.progress(`stack ${context.stack}, by the ${engine.name} engine; a preview changes nothing`);
	const plan = await run(context, (runOptions) =>
		engine.preview({ ...runOptions, refresh: Boolean(options.refresh) }),
	);
	const verdicts = volumeVerdicts(plan, existing);
	const names = new Map(volumes.map(({ key, name }) => [key as string, name]));
	const changed = changes(plan);
	output.data(context.stack, {
		engine: engine.name,
		changes: changesAsJson(plan),
		volumes: verdicts.map((verdict) => ({ ...verdict, name: names.get(verdict.key) })),
	});
	if (changed.length === 0) {
		output.result(`No changes: stack ${context.stack} is as its settings say.`);
	} else {
		output.result(planText(context, plan, { full: Boolean(options.diff) }));
		output.result(`\n${verdictTable(verdicts, names, output)}`);
		output.result(`\n${summary(plan, "planned")}`);
	}
	if (findDataLoss(plan).length > 0) {
		output.warning(`up refuses this plan: it would destroy data. Undo the edit that causes it.`);
	} else if (changed.length > 0) {
		if (migrates(plan)) {
			output.progress("\nIt migrates the database: up takes a backup of a running one first.");
		}
		const needsPulumi = plan.some(({ type }) => isForPulumiAlone(type));
		output.progress(
			needsPulumi && engine.name === "local"
				? `\nThe local engine cannot apply what is at AWS. With Pulumi: ${context.command("--engine pulumi up")}`
				: `\nApply it: ${context.command("up")}`,
		);
	}
	return options.expectNoChanges && changed.length > 0 ? exitCodes.failed : exitCodes.done;
}

/** One paragraph for each object that changes. */
export function planText(context: VerbContext, plan: Plan, { full }: { full: boolean }): string {
	const { prefix } = context.load().identity;
	const width = process.stdout.isTTY ? process.stdout.columns : 100;
	return changes(plan)
		.flatMap((step) => {
			const { kind, name } = describe(step, prefix);
			const { mark, plan: word } = operationWords[step.operation];
			const title = `${mark} ${word.padEnd(8)} ${kind.padEnd(10)} ${name}`;
			// What is made or goes is described by its name; its every property says nothing more.
			const told = step.operation === "update" || step.operation === "replace" ? step.differences : [];
			const lines = told.flatMap((difference) => differenceLines(difference, { full, width: width - 13 }));
			return [colored(context.output, step, title), ...lines.map((line) => `             ${line}`)];
		})
		.join("\n");
}

/** What becomes of the content of each volume. */
export function verdictTable(
	verdicts: readonly VolumeVerdict[],
	names: ReadonlyMap<string, string>,
	output: Output,
): string {
	const rows = verdicts.map(({ key, dataClass, verdict, loses }) => [
		names.get(key) ?? key,
		dataClass,
		loses ? output.style(["red", "bold"], verdict) : verdict,
	]);
	return table(["volume", "class", "data"], rows);
}

function colored(output: Output, { operation }: Step, text: string): string {
	const formats = {
		same: "reset",
		create: "green",
		update: "yellow",
		forget: "cyan",
		replace: "magenta",
		delete: "red",
	} as const;
	return output.style(formats[operation], text);
}
