/**
 * The metrics, as one table: names and units by the conventions of Prometheus. Every one has the label `stack`.
 * Values come from the files at the moment of the scrape, so they survive restarts and tell of manual runs too.
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { AlarmFile } from "../recovery/alarm-file.ts";
import { isGood } from "../recovery/points.ts";
import type { Measured } from "./alarms/watch.ts";
import type { AgentConfig } from "./config.ts";
import type { CurrentState } from "./current-state.ts";

/** What the values are read from. */
export interface Seen extends Measured {
	readonly config: Pick<AgentConfig, "minimumCopies" | "alarms">;
	readonly state: CurrentState;
	readonly deliveries?: AlarmFile["deliveries"];
}

type Sample = readonly [value: number | undefined, labels?: Readonly<Record<string, string>>];

interface Metric {
	readonly help: string;
	/** @default gauge */
	readonly type?: "gauge" | "counter";
	/** Labels besides `stack`. */
	readonly labels?: readonly string[];
	/** Samples without a value are left out. */
	readonly read: (seen: Seen) => readonly Sample[];
}

/** Where copies lie; every destination has its own numbers. */
const local = { destination: "local" };
const offsite = { destination: "offsite" };

const full = ({ state }: Seen) => state.points.filter(({ kind }) => kind === "full");

export const metrics: Readonly<Record<string, Metric>> = {
	persistent_stack_backup_last_success_timestamp_seconds: {
		help: "Start of the newest good full recovery point: no write before it is missing from it.",
		read: ({ state }) => [[epoch(state.newest?.createdAt)]],
	},
	persistent_stack_backup_last_success_size_bytes: {
		help: "Size of the newest good full recovery point.",
		read: ({ state }) => [[state.newest?.size]],
	},
	persistent_stack_backup_last_success_duration_seconds: {
		help: "Time that the last good full run took, by phase.",
		labels: ["phase"],
		read: ({ state: { lastSuccess } }) => [
			[lastSuccess?.seconds?.making, { phase: "making" }],
			[lastSuccess?.seconds?.verifying, { phase: "verifying" }],
		],
	},
	persistent_stack_backup_last_run_timestamp_seconds: {
		help: "End of the last run, however it ended.",
		read: ({ state }) => [[epoch(state.lastRun?.endedAt)]],
	},
	persistent_stack_backup_last_run_success: {
		help: "1 when the last run was good, 0 when it failed.",
		read: ({ state: { lastRun } }) => [[lastRun && Number(lastRun.outcome === "success")]],
	},
	persistent_stack_backup_runs_total: {
		help: "Runs by how they ended; skipped: somebody else held the lock.",
		type: "counter",
		labels: ["outcome"],
		read: ({ state: { runs } }) =>
			(["success", "failed", "skipped"] as const).map((outcome) => [runs?.[outcome] ?? 0, { outcome }]),
	},
	persistent_stack_backup_fresh: {
		help: "1 when the newest good full recovery point is as new as the schedule promises.",
		read: ({ state }) => [[Number(state.fresh)]],
	},
	persistent_stack_backup_due_timestamp_seconds: {
		help: "When the last planned run was due, by which there has to be a recovery point.",
		read: ({ state }) => [[epoch(state.due)]],
	},
	persistent_stack_backup_next_run_timestamp_seconds: {
		help: "The next planned run, by schedule.",
		labels: ["schedule"],
		read: ({ state }) =>
			(["daily", "weekly"] as const).map((schedule) => [epoch(state.next[schedule]), { schedule }]),
	},
	persistent_stack_backup_verified_copies: {
		help: "Verified full recovery points, by destination.",
		labels: ["destination"],
		read: ({ state }) => [
			[state.goodFull, local],
			[state.offsite?.fullCopies, offsite],
		],
	},
	persistent_stack_backup_minimum_copies: {
		help: "Verified full recovery points that retention never goes below.",
		read: ({ config }) => [[config.minimumCopies]],
	},
	persistent_stack_backup_newest_copy_timestamp_seconds: {
		help: "Start of the newest verified full recovery point, by destination.",
		labels: ["destination"],
		read: ({ state }) => [
			[epoch(state.newest?.createdAt), local],
			[epoch(state.offsite?.newest?.createdAt), offsite],
		],
	},
	persistent_stack_backup_destination_ok: {
		help: "1 when what belongs to a destination is there and new enough.",
		labels: ["destination"],
		read: ({ state }) => [
			[Number(state.fresh), local],
			[state.offsite && Number(state.offsite.ok && state.offsite.fresh), offsite],
		],
	},
	persistent_stack_backup_oldest_copy_timestamp_seconds: {
		help: "Start of the oldest verified full recovery point, by destination.",
		labels: ["destination"],
		read: (seen) => [[epoch(full(seen).find(isGood)?.createdAt), local]],
	},
	persistent_stack_backup_stored_bytes: {
		help: "Size of all recovery points of the stack, by destination.",
		labels: ["destination"],
		read: ({ state }) => [
			[state.points.reduce((total, { size }) => total + size, 0), local],
			[state.offsite?.storedBytes, offsite],
		],
	},
	persistent_stack_backup_damaged_copies: {
		help: "Recovery points that were found damaged, by destination.",
		labels: ["destination"],
		read: ({ state }) => [
			[state.points.filter(({ damage, verified }) => damage || verified?.ok === false).length, local],
			[state.offsite?.damaged.length, offsite],
		],
	},
	persistent_stack_backup_running: {
		help: "1 while somebody holds the lock of the stack.",
		read: ({ state }) => [[Number(state.holder !== undefined)]],
	},
	persistent_stack_drill_last_run_timestamp_seconds: {
		help: "End of the last restore drill.",
		read: ({ state }) => [[epoch(state.drill?.endedAt)]],
	},
	persistent_stack_drill_last_run_success: {
		help: "1 when the last restore drill passed, 0 when it failed.",
		read: ({ state: { drill } }) => [[drill && Number(drill.outcome === "passed")]],
	},
	persistent_stack_drill_last_run_duration_seconds: {
		help: "Time that the last restore drill took.",
		read: ({ state }) => [[state.drill?.seconds]],
	},
	persistent_stack_volume_size_bytes: {
		help: "What a volume holds; of the database's, its databases and its write-ahead log.",
		labels: ["volume"],
		read: ({ volumes }) => Object.entries(volumes).map(([volume, bytes]) => [bytes, { volume }]),
	},
	persistent_stack_disk_size_bytes: {
		help: "Size of the disk with the backups, and of that with the volumes where it is another.",
		labels: ["disk"],
		read: ({ disks }) => disks.map(({ name, size }) => [size, { disk: name }]),
	},
	persistent_stack_disk_free_bytes: {
		help: "Bytes that may still be written to a disk.",
		labels: ["disk"],
		read: ({ disks }) => disks.map(({ name, free }) => [free, { disk: name }]),
	},
	persistent_stack_alarm_active: {
		help: "1 for each alarm that goes on.",
		labels: ["condition"],
		read: ({ state }) => Object.keys(state.alarms).map((condition) => [1, { condition }]),
	},
	persistent_stack_alarm_deliveries_total: {
		help: "Messages to the alarm addresses: delivered, or given up after all tries.",
		type: "counter",
		labels: ["target", "outcome"],
		read: ({ deliveries }) =>
			Object.entries(deliveries ?? {}).flatMap(([target, { delivered, givenUp }]): Sample[] => [
				[delivered, { target, outcome: "delivered" }],
				[givenUp, { target, outcome: "given-up" }],
			]),
	},
};

/** All metrics in the text format. */
export async function renderMetrics(seen: Seen): Promise<{ contentType: string; text: string }> {
	const registry = new Registry();
	registry.setDefaultLabels({ stack: seen.state.stack });
	for (const [name, { help, type = "gauge", labels = [], read }] of Object.entries(metrics)) {
		const samples = read(seen).filter(([value]) => value !== undefined);
		// Without a sample it would read as 0, and an unknown time is not 1970.
		if (samples.length === 0) continue;
		const settings = { name, help, labelNames: [...labels], registers: [registry] };
		const metric = type === "counter" ? new Counter(settings) : new Gauge(settings);
		for (const [value = 0, values = {}] of samples) metric.inc(values, value);
	}
	return { contentType: registry.contentType, text: await registry.metrics() };
}

/** Seconds since 1970. */
function epoch(time: Date | string | null | undefined): number | undefined {
	return time ? new Date(time).getTime() / 1000 : undefined;
}
