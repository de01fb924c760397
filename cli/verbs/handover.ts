/** `stack handover`: the record of the stack moves from one engine to the other; its objects are not touched. */
import { appliedBy, type EngineName } from "../../components/engine-in-use.ts";
import { changesAsJson } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { requireDocker } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { withLock } from "../lock.ts";
import { changes } from "../plan.ts";
import { planText } from "./preview.ts";

export async function handover(context: VerbContext, { options }: Invocation): Promise<void> {
	const to = options.to as EngineName | undefined;
	await requireDocker(context.signal);
	await withLock(context, "handover", async () => {
		const { settleHandover } = await import("../../engine/handover/handover.ts");
		const settled = await settleHandover(context.load(), onProgress(context));
		const told =
			settled && `the handover to the ${settled.to} engine did not come to its end; it is ${settled.outcome}`;
		if (to) {
			if (told) context.output.progress(told);
			await giveTo(context, to);
		} else if (told) {
			context.output.data(context.stack, settled);
			context.output.result(`Stack ${context.stack}: ${told}.`);
		} else {
			throw new StackError("to which engine the stack goes is missing; nothing was changed", {
				exitCode: exitCodes.usage,
				fix: `${context.command("handover --to pulumi")}, or ${context.command("handover --to local")}`,
			});
		}
	});
}

async function giveTo(context: VerbContext, to: EngineName): Promise<void> {
	const { output, stack, signal, command } = context;
	const loaded = context.load();
	const from = appliedBy(loaded.directories.state);
	if (from === to) {
		output.data(stack, { engine: to, from, changes: [] });
		output.result(`Nothing to do: stack ${stack} is with the ${to} engine already.`);
		return;
	}
	if (!from) {
		throw new StackError(`no engine has applied stack ${stack}, so there is nothing to hand over`, {
			fix: command(`--engine ${to} up`),
		});
	}
	output.progress(`stack ${stack}, from the ${from} engine to the ${to} one; no object is touched`);
	const { handOver } = await import("../../engine/handover/handover.ts");
	const { plan, kept } = await handOver(loaded, to, { signal, ...onProgress(context) });
	output.data(stack, { engine: to, from, changes: changesAsJson(plan), kept });
	output.result(`Stack ${stack} is with the ${to} engine now, and every object as it was.`);
	output.result(`The record of the ${from} engine is kept: ${kept}`);
	if (changes(plan).length > 0) {
		output.result(`The next up changes in place:\n${planText(context, plan, { full: false })}`);
	}
	if (to === "pulumi") {
		output.progress(`Pulumi.${stack}.yaml may name now how Pulumi encrypts secrets; commit it.`);
	}
}

function onProgress({ output }: VerbContext) {
	return { onProgress: (text: string) => output.progress(text) };
}
