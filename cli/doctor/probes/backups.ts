/** The newest good backup against the schedule, and what went wrong with others. */
import { isGood } from "../../../recovery/points.ts";
import { hostWords } from "../../backup-status.ts";
import { age, count, formatBytes } from "../../output.ts";
import { ageOf, damageOf, verifiedWord } from "../../recovery-points.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtBackups(facts: Facts): Promise<Finding[]> {
	const { command, stack, load } = facts.context;
	const { backups: directory } = load().directories;
	const { fresh, newest, due, next, points, status } = await facts.backups();
	const own = points.filter((point) => point.stack === stack);
	const findings: Finding[] = [];
	const described = newest
		? `${newest.file}, ${ageOf(newest)} old, ${formatBytes(newest.size)}, verified (${verifiedWord(newest)})`
		: "there is none";
	if (!fresh && due) {
		findings.push({
			verdict: "fail",
			message: `a full backup was due ${age(due)} ago; the newest good one: ${described}`,
			fix: `${command("logs backup --tail 50")}, then ${command("backup")}`,
		});
	}
	const run = status?.lastRun;
	if (run?.outcome === "failed") {
		findings.push({
			verdict: fresh ? "warn" : "fail",
			message: `the last run failed ${age(new Date(run.endedAt))} ago: ${hostWords(stack, directory, run.message ?? "it did not say why")}`,
			fix: command("backup"),
		});
	}
	for (const point of own) {
		const fault = damageOf(point);
		if (!fault) continue;
		findings.push({
			verdict: own.some((other) => other.kind === "full" && isGood(other)) ? "warn" : "fail",
			message: `${point.file} is damaged: ${fault}`,
			fix: `${command("backup")}, then rm ${directory}/${point.file}`,
		});
	}
	if (!next) {
		findings.push({
			verdict: "warn",
			message: `no backup is scheduled; the newest good one: ${described}`,
			fix: `set backupSchedule in Pulumi.${stack}.yaml, then ${command("up")}`,
		});
	}
	if (findings.length > 0 || !next) return findings;
	const coming = `the next is planned in ${age(new Date(), next)}`;
	if (newest) return [{ verdict: "ok", message: `${described}; ${coming}` }];
	const message = `there is no good backup yet, of ${count(own.length, "backup")}; ${coming}`;
	return [{ verdict: "warn", message, fix: command("backup") }];
}
