/** What `status` tells of the backups: the newest one, and whether it is as new as the schedule promises. */
import type { OffsiteState } from "../recovery/offsite.ts";
import { isGood } from "../recovery/points.ts";
import { commandLine, type VerbContext } from "./context.ts";
import { offsiteText, readOffsiteState } from "./offsite-status.ts";
import { age, count, formatBytes, type Output } from "./output.ts";
import {
	ageOf,
	type BackupState,
	backupState,
	damageOf,
	pointAsJson,
	verifiedWord,
} from "./recovery-points.ts";
import { readWatch, type WatchState, watchAsJson, watchText } from "./watch-status.ts";

/** How the backups are, or why that is not known. */
export interface Backups {
	readonly directory: string;
	readonly state?: BackupState;
	/** Alarms and drills; absent where the directory cannot be looked at. */
	readonly watch?: WatchState;
	/** The copies in the bucket, where the stack keeps any. */
	readonly offsite?: OffsiteState;
	readonly unknown?: string;
}

/** What stands in the way of looking is a part of the status, not its end. */
export async function lookAtBackups(context: VerbContext): Promise<Backups> {
	const directory = context.load().directories.backups;
	try {
		const [state, watch, offsite] = await Promise.all([
			backupState(context),
			readWatch(directory, context.stack),
			readOffsiteState(context),
		]);
		return { directory, state, watch, offsite };
	} catch (error) {
		return { directory, unknown: (error as Error).message };
	}
}

/** Words of the agent, which sees the backup directory elsewhere and does not know how it was called. */
export function hostWords(stack: string, directory: string, text: string): string {
	return text
		.replace(/(?<![\w./-])\/backups(?![\w-])/g, directory)
		.replace(/\.\/docker-dev\.sh (?!-s )/g, commandLine(stack, ""));
}

/** Lines for a person; what is wrong is red. */
export function backupText(
	stack: string,
	{ directory, state, watch, offsite, unknown }: Backups,
	output: Output,
	now = new Date(),
): string {
	const bad = (text: string) => output.style(["red", "bold"], text);
	if (!state) return `Backups: ${bad("not known")}: ${unknown}`;
	const { newest, fresh, due, next, points, status } = state;
	const lines: string[] = [];
	const described =
		newest &&
		`${newest.file}, ${ageOf(newest, now)} old, ${formatBytes(newest.size)}, verified (${verifiedWord(newest)})`;
	const make = `Make one: ${commandLine(stack, "backup")}`;
	if (fresh) lines.push(described ? `Newest backup: ${described}` : `There is no backup yet. ${make}`);
	else {
		const late = due ? `: a full one was due ${age(due, now)} ago` : "";
		lines.push(`${bad(`BACKUP OVERDUE${late}`)}. ${make}`);
		lines.push(described ? `Newest good backup: ${described}` : "There is no good backup.");
	}
	const own = points.filter((point) => point.stack === stack);
	const damaged = own.filter((point) => damageOf(point) !== undefined);
	const planned = next ? `next one in ${age(now, next)}` : "none is scheduled";
	lines.push(
		`${count(own.length, "backup")} in ${directory}; ${newest || !next ? planned : `the first is due in ${age(now, next)}`}`,
	);
	if (damaged.length > 0) lines.push(`${bad("Damaged")}: ${damaged.map(({ file }) => file).join(", ")}`);
	const run = status?.lastRun;
	if (run?.outcome === "failed") {
		const when = age(new Date(run.endedAt), now);
		lines.push(
			`${bad("The last run failed")} ${when} ago: ${hostWords(stack, directory, run.message ?? "")}`,
		);
	}
	const skipped = status?.lastSkipped;
	if (skipped && !(run && run.endedAt > skipped.at)) {
		const words = hostWords(stack, directory, skipped.message);
		lines.push(`The last ${skipped.class} run was skipped ${age(new Date(skipped.at), now)} ago: ${words}`);
	}
	if (offsite)
		lines.push(...offsiteText(stack, offsite, output, now).map((line) => hostWords(stack, directory, line)));
	if (watch) lines.push(...watchText(stack, watch, output, now));
	return lines.join("\n");
}

export function backupAsJson(stack: string, { directory, state, watch, offsite, unknown }: Backups) {
	if (!state) return { directory, fresh: null, problem: unknown };
	const { newest, fresh, reason, due, next, points, status } = state;
	const own = points.filter((point) => point.stack === stack);
	return {
		directory,
		fresh,
		problem: reason === undefined ? null : hostWords(stack, directory, reason),
		newest: newest ? pointAsJson(newest, directory, stack) : null,
		due: due?.toISOString() ?? null,
		next: next?.toISOString() ?? null,
		counts: {
			own: own.length,
			goodFull: own.filter((point) => point.kind === "full" && isGood(point)).length,
			damaged: own.filter((point) => damageOf(point) !== undefined).length,
			others: points.length - own.length,
		},
		lastRun: status?.lastRun ?? null,
		lastSkipped: status?.lastSkipped ?? null,
		...(offsite && { offsite }),
		...(watch && watchAsJson(watch)),
	};
}
