/** The clock: of this machine against Docker's, and against the times of the backups. */
import { isFromTheFuture } from "../../../recovery/points.ts";
import { age, count } from "../../output.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** Seconds by which two clocks may differ. Schedules and ages are of minutes and more. */
const tolerance = 5;

const correct = "timedatectl status; sudo timedatectl set-ntp true";

export async function lookAtClock(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const findings: Finding[] = [];
	const { points } = await facts.backups();
	const now = new Date();
	const future = points.filter((point) => point.stack === context.stack && isFromTheFuture(point, now));
	const last = future.at(-1);
	if (last) {
		findings.push({
			verdict: "warn",
			message: `${count(future.length, "backup")} of the future, the last ${last.file}, in ${age(now, last.createdAt)}: this clock is slow, or was ahead then. They are never pruned, and never count as the newest while there is another`,
			fix: correct,
		});
	}
	if (await facts.lacks("docker")) return findings;
	const { clockAhead } = await facts.engine();
	if (Math.abs(clockAhead) > tolerance) {
		const seconds = `${Math.abs(clockAhead).toFixed(0)} s ${clockAhead > 0 ? "ahead of" : "behind"}`;
		findings.push({
			verdict: "warn",
			message: `the clock of the containers is ${seconds} this machine's: schedules run and backups are named by theirs`,
			fix: `${correct}; Docker Desktop: restart it`,
		});
	}
	if (findings.length > 0) return findings;
	return [
		{
			verdict: "ok",
			message: "containers and host agree on the time, and no backup is of the future",
		},
	];
}
