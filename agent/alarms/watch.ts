/** Looks at the recovery points, the disks and the volumes from time to time, and tells what is wrong. */
import { type AlarmFile, type AlarmTarget, readAlarms, writeAlarms } from "../../recovery/alarm-file.ts";
import type { RunRecord } from "../../recovery/status-file.ts";
import type { AgentConfig } from "../config.ts";
import { currentState } from "../current-state.ts";
import { type Disk, measureDisks, measureVolumes } from "../disks.ts";
import type { RunContext } from "../recovery-point.ts";
import { type Condition, findConditions, unreadable } from "./conditions.ts";
import { deliver } from "./deliver.ts";
import { advance } from "./ledger.ts";

export interface Measured {
	readonly disks: readonly Disk[];
	/** Bytes in volumes, by catalogue key. */
	readonly volumes: Readonly<Record<string, number | undefined>>;
}

/** Counting the files of a large volume takes a while. */
const volumeMinutes = 60;

/**
 * The watch over a stack's backups. It judges by the files, so it notices whatever made or broke them; what
 * goes wrong in it is reported and fails nothing else. What it remembers is in memory too: on a full disk,
 * which cannot take its file, it still tells.
 */
export class Watch {
	readonly #context: RunContext;
	readonly #timer: NodeJS.Timeout;
	readonly #files: Readonly<Partial<Record<AlarmTarget, string>>>;
	#going: Promise<void> = Promise.resolve();
	#alarms: AlarmFile | undefined;
	#measured: Measured = { disks: [], volumes: {} };
	#volumesAt = Number.NEGATIVE_INFINITY;
	#noted: RunRecord | undefined;
	#lastTrouble = "";

	/** Begins to look. */
	constructor(context: RunContext) {
		this.#context = context;
		this.#files = addressFiles(context.config);
		this.#timer = setInterval(() => this.look(), context.config.alarms.intervalSeconds * 1000);
		void this.look();
	}

	/** What the last look measured. */
	get measured(): Measured {
		return this.#measured;
	}

	get alarms(): AlarmFile | undefined {
		return this.#alarms;
	}

	/** Looks now; with a run that failed, which a full disk may have kept out of the status file. */
	look(failed?: RunRecord): Promise<void> {
		this.#noted = failed ?? this.#noted;
		this.#going = this.#going.then(async () => {
			const { signal, report } = this.#context;
			if (signal.aborted) return;
			try {
				await this.#lookOnce();
				this.#lastTrouble = "";
			} catch (error) {
				const { message } = error as Error;
				// Once, not at every look.
				if (signal.aborted || message === this.#lastTrouble) return;
				this.#lastTrouble = message;
				report({ event: "warning", message: `the watch over the backups has trouble: ${message}` });
			}
		});
		return this.#going;
	}

	/** Ends it, when the look that is going on has ended. */
	async stop(): Promise<void> {
		clearInterval(this.#timer);
		await this.#going;
	}

	async #lookOnce(): Promise<void> {
		const { config, report, signal } = this.#context;
		const { stack, alarms: settings } = config;
		const now = new Date();
		const before = this.#alarms ?? (await readAlarms(config.backupDirectory, stack));
		const { conditions, lastSuccess } = await this.#judge(before, now);
		const warn = (message: string) => report({ event: "warning", message });
		for (const [name, { what, why }] of conditions) {
			if (!before.open[name]) warn(`alarm: ${what}: ${why}`);
		}
		for (const [name, { what }] of Object.entries(before.open)) {
			if (!conditions.has(name)) report({ event: "step", step: `no longer: ${what}` });
		}
		const targets = new Set(Object.keys(this.#files) as AlarmTarget[]);
		const advanced = advance(before, conditions, lastSuccess, { ...settings, stack, targets }, now);
		const options = { files: this.#files, retrySeconds: settings.retrySeconds, signal, warn };
		// Written before anything is sent: what a kill keeps from being sent is sent after the next start.
		const written = await this.#keep(before, advanced);
		const delivered = await deliver(advanced, options, now);
		const rewritten = await this.#keep(advanced, delivered);
		const failure = written ?? rewritten;
		if (failure) throw failure;
	}

	async #judge(
		{ open }: AlarmFile,
		now: Date,
	): Promise<{ conditions: ReadonlyMap<string, Condition>; lastSuccess?: RunRecord }> {
		const { config } = this.#context;
		try {
			await this.#measure();
			const state = await currentState(config, now);
			const { lastSuccess } = state;
			const lastRun = later(state.lastRun, this.#noted);
			const observed = { ...state, ...this.#measured, lastRun };
			return { conditions: findConditions(config.stack, observed, config.alarms, open), lastSuccess };
		} catch (error) {
			return { conditions: unreadable(config.stack, error as Error, open) };
		}
	}

	async #measure(): Promise<void> {
		const { config, signal } = this.#context;
		const disks = await measureDisks(config);
		const wanted = config.metricsPort > 0 || Object.keys(this.#files).length > 0;
		const due = wanted && Date.now() - this.#volumesAt >= volumeMinutes * 60_000;
		const volumes = due ? await measureVolumes(config, signal) : {};
		if (due) this.#volumesAt = Date.now();
		this.#measured = { disks, volumes: { ...this.#measured.volumes, ...volumes } };
	}

	/** Returns why it could not be written. */
	async #keep(before: AlarmFile, after: AlarmFile): Promise<Error | undefined> {
		const known = this.#alarms !== undefined;
		this.#alarms = after;
		if (known && JSON.stringify(before) === JSON.stringify(after)) return undefined;
		const { backupDirectory, stack } = this.#context.config;
		return await writeAlarms(backupDirectory, stack, after).then(
			() => undefined,
			(error: Error) => error,
		);
	}
}

function later(one: RunRecord | undefined, other: RunRecord | undefined): RunRecord | undefined {
	return one && other ? (one.endedAt >= other.endedAt ? one : other) : (one ?? other);
}

function addressFiles({ alarms }: AgentConfig): Partial<Record<AlarmTarget, string>> {
	return {
		...(alarms.webhookFile && { webhook: alarms.webhookFile }),
		...(alarms.pingFile && { ping: alarms.pingFile }),
	};
}
