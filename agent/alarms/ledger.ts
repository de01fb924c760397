/** Which messages follow from what is wrong now and what was wrong before. Pure. */
import type { AlarmFile, AlarmMessage, AlarmTarget, OpenAlarm } from "../../recovery/alarm-file.ts";
import type { RunRecord } from "../../recovery/status-file.ts";
import type { Condition } from "./conditions.ts";

export interface LedgerPolicy {
	readonly stack: string;
	/** Those that have an address. */
	readonly targets: ReadonlySet<AlarmTarget>;
	readonly onSuccess: boolean;
	readonly reminderHours: number;
}

/** What a webhook is sent, as JSON; `text` is what Slack and its like show. */
export interface AlarmBody {
	readonly version: 1;
	readonly event: "raised" | "reminder" | "resolved" | "succeeded";
	/** Name of the condition; null for a success. */
	readonly condition: string | null;
	readonly stack: string;
	readonly at: string;
	/** Since when it has been so. */
	readonly since: string;
	readonly what: string;
	readonly why: string | null;
	readonly mend: string | null;
	readonly text: string;
}

/** Messages that wait at most; the oldest go first, for the newest say how it is. */
const outboxLimit = 50;

const words: Readonly<Record<AlarmBody["event"], string>> = {
	raised: "ALARM",
	reminder: "STILL SO",
	resolved: "RESOLVED",
	succeeded: "OK",
};

/**
 * One look: an alarm is told when it begins, once in every `reminderHours` while it goes on, and when it ends;
 * a good full run once, as soon as all is well.
 */
export function advance(
	before: AlarmFile,
	conditions: ReadonlyMap<string, Condition>,
	lastSuccess: RunRecord | undefined,
	policy: LedgerPolicy,
	now: Date,
): AlarmFile {
	const at = now.toISOString();
	const open: Record<string, OpenAlarm> = {};
	const outbox = [...before.outbox];
	const tell = (target: AlarmTarget, good: boolean, body: string) => {
		if (policy.targets.has(target)) outbox.push({ target, good, body, tries: 0, at });
	};
	const announce = (
		event: AlarmBody["event"],
		condition: string | null,
		said: { what: string; why: string | null; mend: string | null; since: string },
	) => {
		const text = textOf(event, said, now);
		const { stack } = policy;
		const body: AlarmBody = { version: 1, event, condition, stack, at, ...said, text };
		tell("webhook", event === "resolved" || event === "succeeded", JSON.stringify(body));
		return text;
	};
	for (const [name, { what, why, mend, aboutBackups }] of conditions) {
		const known = before.open[name];
		const due = !known || now.getTime() - Date.parse(known.toldAt) >= policy.reminderHours * 3_600_000;
		const since = known?.since ?? at;
		open[name] = { what, why, mend, aboutBackups, since, toldAt: due ? at : known.toldAt };
		if (!due) continue;
		const text = announce(known ? "reminder" : "raised", name, { what, why, mend, since });
		if (aboutBackups) tell("ping", false, text);
	}
	for (const [name, { what, since }] of Object.entries(before.open)) {
		if (!conditions.has(name)) announce("resolved", name, { what, since, why: null, mend: null });
	}
	// A run is good when nothing else says that the backups are not: then the switch would be told two things.
	const allWell = ![...conditions.values()].some(({ aboutBackups }) => aboutBackups);
	if (!lastSuccess || lastSuccess.endedAt === before.toldRun || !allWell)
		return { ...before, open, outbox: newest(outbox) };
	const what = `the ${lastSuccess.class} backup of stack ${policy.stack} is good: ${lastSuccess.file}`;
	const scheduled = lastSuccess.class === "daily" || lastSuccess.class === "weekly";
	if (policy.onSuccess && scheduled) {
		announce("succeeded", null, { what, why: null, mend: null, since: lastSuccess.endedAt });
	}
	tell("ping", true, what);
	return { ...before, open, outbox: newest(outbox), toldRun: lastSuccess.endedAt };
}

function newest(outbox: readonly AlarmMessage[]): AlarmMessage[] {
	return outbox.slice(-outboxLimit);
}

/** The message after a try to deliver it that failed; undefined when it is given up. */
export function afterFailure(
	message: AlarmMessage,
	retrySeconds: readonly number[],
	now: Date,
): AlarmMessage | undefined {
	const pause = retrySeconds[message.tries];
	if (pause === undefined) return undefined;
	const at = new Date(now.getTime() + pause * 1000).toISOString();
	return { ...message, tries: message.tries + 1, at };
}

function textOf(
	event: AlarmBody["event"],
	{ what, why, mend, since }: { what: string; why: string | null; mend: string | null; since: string },
	now: Date,
): string {
	const hours = (now.getTime() - Date.parse(since)) / 3_600_000;
	const lasting = event === "reminder" || event === "resolved" ? ` (after ${hours.toFixed(1)} hours)` : "";
	return [
		`${words[event]}${lasting}: ${what}`,
		...(why ? [`Why: ${why}`] : []),
		...(mend ? [`What to do: ${mend}`] : []),
	].join("\n");
}
