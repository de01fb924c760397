/** The copies in the bucket, as far as the last upload knew of them. */
import { hostWords } from "../../backup-status.ts";
import { heldText, readOffsiteState } from "../../offsite-status.ts";
import { age } from "../../output.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtOffsite({ context }: Facts): Promise<Finding[]> {
	const state = await readOffsiteState(context);
	if (!state) return [];
	const { destination, copies, newest, lastPush } = state;
	const fix = context.command("backup push");
	if (!lastPush) return [{ verdict: "warn", message: `nothing was uploaded yet to ${destination}`, fix }];
	const held = `${heldText(copies, destination)}, the newest full one: ${newest?.file ?? "none"}`;
	if (lastPush.outcome === "success") return [{ verdict: "ok", message: held }];
	const words = hostWords(context.stack, context.load().directories.backups, lastPush.message ?? "");
	const when = age(new Date(lastPush.endedAt));
	return [
		{
			verdict: newest ? "warn" : "fail",
			message: `the last upload failed ${when} ago: ${words}; ${held}`,
			fix,
		},
	];
}
