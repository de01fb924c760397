/** Whether what runs is what the program declares: the engine's own comparison, which changes nothing. */
import { findDataLoss } from "../../../engine/data-guard.ts";
import type { Step } from "../../../engine/engine.ts";
import { lockFile, lockHolder } from "../../../recovery/lock.ts";
import { openStackEngine } from "../../apply.ts";
import { count } from "../../output.ts";
import { bringsBack, changes, describe, operationWords } from "../../plan.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";
import { hasPassphrase } from "./keys.ts";

/** Objects that a line names; the rest are counted. */
const named = 4;

export async function lookAtDrift({ context, appliedBy }: Facts): Promise<Finding[]> {
	const { command, stack, signal } = context;
	if (!appliedBy) {
		return [
			{
				verdict: "warn",
				message: `no record says that stack ${stack} was applied from ${context.project}`,
				fix: command("preview"),
			},
		];
	}
	// The engine would make a new one, which opens nothing; the probe of the keys tells of it.
	if (!hasPassphrase(context.project)) return [];
	const holder = lockHolder(lockFile(context.load().directories.backups, stack));
	if (holder) {
		return [
			{
				verdict: "warn",
				message: `not compared: "${holder.operation}" of ${holder.user}@${holder.host} is changing the stack since ${holder.since}`,
				fix: `wait for it, then ${command("doctor")}`,
			},
		];
	}
	const engine = await openStackEngine(context);
	const plan = await engine.preview({ signal, refresh: true });
	const lost = findDataLoss(plan);
	const steps = changes(plan);
	const back = steps.filter(bringsBack);
	const pending = steps.filter((step) => !back.includes(step));
	const findings: Finding[] = [];
	if (lost.length > 0) {
		findings.push({
			verdict: "fail",
			message: `the settings ask for changes that would destroy data, which up refuses: ${lost.map(({ volume }) => volume).join(", ")}`,
			fix: `${command("preview --diff")}, then undo the edit`,
		});
	}
	if (back.length > 0) {
		findings.push({
			verdict: "warn",
			message: `stopped or removed by hand: ${list(context, back)}`,
			fix: command("start"),
		});
	}
	if (pending.length > 0) {
		findings.push({
			verdict: "warn",
			message: `${count(pending.length, "change")} pending: ${list(context, pending)}`,
			fix: `${command("preview")}, then ${command("up")}`,
		});
	}
	if (findings.length > 0) return findings;
	return [{ verdict: "ok", message: `what runs is what the settings say, by the ${engine.name} engine` }];
}

function list({ load }: Facts["context"], steps: readonly Step[]): string {
	const { prefix } = load().identity;
	const words = steps.slice(0, named).map((step) => {
		const { kind, name } = describe(step, prefix);
		return `${operationWords[step.operation].plan} ${kind} ${name}`;
	});
	if (steps.length > named) words.push(`${steps.length - named} more`);
	return words.join(", ");
}
