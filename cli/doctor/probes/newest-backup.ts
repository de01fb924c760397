/** Reads the newest full backup from end to end. What is found is noted beside it, as by `backup verify`. */

import { Output } from "../../output.ts";
import { newestOf } from "../../recovery-points.ts";
import { checkBackups } from "../../verbs/backup-verify.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookIntoNewestBackup(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const { backups: directory } = context.load().directories;
	const { points } = await facts.backups();
	const newest = newestOf(points, context.stack, new Date());
	if (!newest) return [{ verdict: "warn", message: "there is none to read", fix: context.command("backup") }];
	const silent = { ...context, output: new Output({ quiet: true, color: false }) };
	const [result] = await checkBackups(silent, directory, [newest.file], undefined);
	if (result?.ok) {
		const how =
			result.how === "content"
				? "read from end to end, every part is as its manifest says"
				: "its stored bytes are those that were written; its content takes the private key: backup verify --identity FILE";
		return [{ verdict: "ok", message: `${newest.file}: ${how}` }];
	}
	return [
		{
			verdict: "fail",
			message: `${newest.file} is damaged: ${result?.problems.join("; ")}`,
			fix: context.command("backup"),
		},
	];
}
