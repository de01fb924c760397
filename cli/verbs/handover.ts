/** `stack handover`: the record of the stack moves from one engine to the other; its objects are not touched. */
import { appliedBy, type EngineName } from "../../components/engine-in-use.ts";
import { changesAsJson, run } from "../apply.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { requireDocker } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { withLock } from "../lock.ts";
import { changes } from "../plan.ts";
import { planText } from "./preview.ts";

export async function handover(context: VerbContext, { options }: Invocation): Promise<void> {
	const { output, stack, signal, command } = context;
	const to = options.to as EngineName | undefined;
	const { handOver, settleHandover } = await import("../../engine/handover/handover.ts");
	await requireDocker(signal);
	await withLock(context, "handover", async () => {
		const loaded = context.load();
		const told = { onProgress: (text: string) => output.progress(text) };
		const settled = await settleHandover(loaded, told);
		if (settled) {
			output.progress(
				`the handover to the ${settled.to} engine that did not come to its end is ${settled.outcome}`,
			);
		}
		const from = appliedBy(loaded.directories.state);
		if (!to && settled) {
			output.data(stack, { settled, engine: from ?? null });
			output.result(`Stack ${stack} is with the ${from} engine.`);
			return;
		}
		if (!to) {
			throw new StackError("to which engine the stack goes is missing; nothing was changed", {
				exitCode: exitCodes.usage,
				fix: `${command("handover --to pulumi")}, or ${command("handover --to local")}`,
			});
		}
		if (from === to) {
			output.data(stack, { engine: to, changes: [] });
			output.result(`Nothing to do: stack ${stack} is with the ${to} engine already.`);
			return;
		}
		if (!from) {
			throw new StackError(`no engine has applied stack ${stack}, so there is nothing to hand over`, {
				fix: command(`--engine ${to} up`),
			});
		}
		output.progress(`stack ${stack}, from the ${from} engine to the ${to} one; no object is touched`);
		const { plan, kept } = await run(context, (runOptions) =>
			handOver(loaded, to, { ...runOptions, ...told }),
		);
		output.data(stack, { engine: to, from, changes: changesAsJson(plan), kept });
		output.result(
			`Stack ${stack} is with the ${to} engine now; it would change nothing that costs an object.`,
		);
		output.result(`The record of the ${from} engine is kept: ${kept}`);
		if (changes(plan).length > 0) {
			output.result(`The next up changes in place:\n${planText(context, plan, { full: false })}`);
		}
		if (to === "pulumi") {
			output.progress(`Pulumi.${stack}.yaml may name now how Pulumi encrypts secrets; commit it.`);
		}
	});
}
