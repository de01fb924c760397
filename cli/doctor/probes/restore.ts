/** A restore that was cut off: until it is put right no backup is made. */
import { findUnfinishedRestore, unfinishedText } from "../../unfinished-restore.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtRestore({ context }: Facts): Promise<Finding[]> {
	const unfinished = await findUnfinishedRestore(context);
	if (!unfinished) return [];
	const message = unfinishedText(unfinished);
	if (unfinished.underWay)
		return [{ verdict: "warn", message, fix: `wait for it: ${context.command("status")}` }];
	return [
		{
			verdict: "fail",
			message: `${message}; until it is put right no backup is made`,
			fix: context.command("start"),
		},
	];
}
