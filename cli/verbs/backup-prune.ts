/** `stack backup prune`: the retention policy, carried out now or only shown. */
import type { RetentionDecision, RetentionPlan } from "../../recovery/retention.ts";
import { findSidecar, runAgent } from "../agent.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { settleRestore } from "../lock.ts";
import { count, formatBytes, type Output, table } from "../output.ts";

interface Pruned extends Omit<RetentionPlan, "reference"> {
	readonly reference: string;
	readonly dryRun: boolean;
	readonly deleted: readonly string[];
}

export async function prune(context: VerbContext, { options }: Invocation): Promise<void> {
	const { output, stack } = context;
	// By the policy that is in force, which is the container's, not by an edit that no up has applied.
	const sidecar = await findSidecar(context);
	const dryRun = Boolean(options.dryRun);
	if (!dryRun) await settleRestore(context, "backup prune");
	const { value } = await runAgent<Pruned>(context, sidecar, ["prune", ...(dryRun ? ["--dry-run"] : [])]);
	const { deleted, decisions, copiesKept } = value;
	output.data(stack, { directory: sidecar.directory, ...value });
	if (decisions.length === 0) {
		output.result(`There is no backup in ${sidecar.directory}. Make one: ${context.command("backup")}`);
		return;
	}
	const going = decisions.filter(({ action }) => action === "delete");
	const size = formatBytes(going.reduce((total, decision) => total + decision.size, 0));
	const kept = `${count(decisions.length - going.length, "backup")} kept, of them ${count(copiesKept, "verified full one")}`;
	if (dryRun) {
		output.result(decisionTable(decisions, output));
		output.result(
			going.length === 0
				? `\nNothing would be deleted; ${kept}.`
				: `\nWould delete ${count(going.length, "backup")}, ${size}; ${kept}.`,
		);
		if (going.length > 0) output.progress(`Do it: ${context.command("backup prune")}`);
		return;
	}
	for (const file of deleted) output.result(`deleted   ${file}`);
	output.result(
		deleted.length === 0
			? `Nothing to delete; ${kept}.`
			: `Deleted ${count(deleted.length, "backup")}, ${size}; ${kept}.`,
	);
	if (deleted.length === 0)
		output.progress(`Why each one stays: ${context.command("backup prune --dry-run")}`);
}

/** Why each one goes or stays. */
export function decisionTable(decisions: readonly RetentionDecision[], output: Output): string {
	const rows = decisions.map((decision) => [
		decision.file,
		decision.class ?? "old script",
		formatBytes(decision.size),
		decision.action === "delete" ? output.style("red", "delete") : "keep",
		why(decision),
	]);
	return table(["file", "class", "size", "plan", "why"], rows);
}

function why({ reason, ageDays, keptDays = 0 }: RetentionDecision): string {
	const days = `${Math.max(0, ageDays).toFixed(1)} of ${count(keptDays, "day")}`;
	if (reason === undefined) return days;
	return {
		young: days,
		floor: "one of the newest verified full backups, which always stay",
		foreign: "not known to be of this stack, so never deleted",
		future: "its date is to come; the clock may be wrong",
		waiting: "not offsite yet",
	}[reason];
}
