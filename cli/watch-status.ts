/** What `status` tells of alarms and restore drills, as the agent has written them down beside the backups. */
import { type AlarmFile, alarmTargets, readAlarms } from "../recovery/alarm-file.ts";
import { type DrillFile, type DrillRecord, readDrills } from "../recovery/drill-file.ts";
import { commandLine } from "./context.ts";
import { age, count, type Output } from "./output.ts";

export interface WatchState {
	readonly alarms: AlarmFile;
	readonly drills: DrillFile["drills"];
}

export async function readWatch(directory: string, stack: string): Promise<WatchState> {
	const [alarms, { drills }] = await Promise.all([
		readAlarms(directory, stack),
		readDrills(directory, stack),
	]);
	return { alarms, drills };
}

/** Lines for a person; what is wrong is red. */
export function watchText(
	stack: string,
	{ alarms, drills }: WatchState,
	output: Output,
	now = new Date(),
): string[] {
	const bad = (text: string) => output.style(["red", "bold"], text);
	const lines = [drillLine(stack, drills, bad, now)];
	const open = Object.entries(alarms.open).map(
		([name, { since }]) => `${name} (${age(new Date(since), now)})`,
	);
	if (open.length > 0) lines.push(`${bad(count(open.length, "alarm"))}: ${open.join(", ")}`);
	for (const target of alarmTargets) {
		const { problem, problemAt } = alarms.deliveries[target];
		if (problem && problemAt) {
			const when = age(new Date(problemAt), now);
			lines.push(`${bad(`Alarms do not reach the ${target}`)}: ${problem}, ${when} ago`);
		}
	}
	return lines;
}

function drillLine(
	stack: string,
	drills: readonly DrillRecord[],
	bad: (text: string) => string,
	now: Date,
): string {
	const last = drills.at(-1);
	if (!last) return `There was no restore drill yet. Hold one: ${commandLine(stack, "backup drill")}`;
	const passed = drills.findLast(({ outcome }) => outcome === "passed");
	const told = passed
		? `passed ${age(new Date(passed.endedAt), now)} ago, ${passed.file}`
		: "none has passed";
	if (last === passed) return `Last restore drill: ${told}`;
	const when = age(new Date(last.endedAt), now);
	return `${bad("The last restore drill FAILED")} ${when} ago, ${last.file}: ${last.problems.join("; ")}. Before: ${told}`;
}

export function watchAsJson({ alarms, drills }: WatchState) {
	const { open, outbox, deliveries } = alarms;
	return {
		alarms: Object.entries(open).map(([condition, alarm]) => ({ condition, ...alarm })),
		deliveries: { ...deliveries, waiting: outbox.length },
		lastDrill: drills.at(-1) ?? null,
		lastDrillPassed: drills.findLast(({ outcome }) => outcome === "passed") ?? null,
	};
}
