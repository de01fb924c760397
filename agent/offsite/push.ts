/** Brings the bucket up to date: uploads what is missing, then marks what may go. It never deletes anything. */
import { join } from "node:path";
import { type IndexFile, readIndex } from "../../recovery/index-file.ts";
import {
	isGoodCopy,
	type OffsiteCopy,
	type OffsiteRecord,
	type PushRecord,
	readOffsite,
	writeOffsite,
} from "../../recovery/offsite.ts";
import { planOffsite } from "../../recovery/offsite-retention.ts";
import { listPoints } from "../../recovery/points.ts";
import type { AgentError } from "../failure.ts";
import { Progress } from "../progress.ts";
import type { RunContext } from "../recovery-point.ts";
import { type Bucket, openBucket } from "./bucket.ts";
import { listCopies, setSuperseded } from "./catalog.ts";
import { clockDifference, explainOffsite, isNotImplemented, OffsiteError } from "./failure.ts";
import { abortUnfinished } from "./send-file.ts";
import { uploadLock } from "./upload-lock.ts";
import { uploadPoint } from "./upload-point.ts";

/** Milliseconds by which a clock must be wrong before it is said; S3 refuses at fifteen minutes. */
const remarkableSkew = 240_000;

export interface PushResult extends PushRecord {
	readonly destination: string;
	/** Good copies that are there now. */
	readonly copies: number;
	readonly exitCode: number;
}

/**
 * Uploads what is missing, the newest first. What goes wrong is in the result and in the record, and not thrown:
 * the recovery points on the disk are as good as before.
 *
 * @throws LockedError when another upload of this stack is under way, which also finds what is missing.
 */
export async function push(context: RunContext): Promise<PushResult> {
	const { backupDirectory, stack } = context.config;
	const bucket = openBucket(context.config, context.signal);
	const lock = uploadLock(backupDirectory, stack);
	try {
		return await new Pusher(context, bucket).run();
	} finally {
		bucket.client.destroy();
		lock.release();
	}
}

class Pusher {
	readonly #context: RunContext;
	readonly #bucket: Bucket;
	readonly #startedAt = new Date();
	readonly #uploaded: string[] = [];
	readonly #superseded: string[] = [];
	readonly #warnings: string[] = [];
	readonly #failures: AgentError[] = [];
	#copies: OffsiteCopy[] = [];
	#waiting: readonly string[] = [];
	#listedAt: string | undefined;

	constructor(context: RunContext, bucket: Bucket) {
		this.#context = context;
		this.#bucket = bucket;
	}

	async run(): Promise<PushResult> {
		const { backupDirectory, stack, timeZone } = this.#context.config;
		const { destination } = this.#bucket;
		const before = await readOffsite(backupDirectory, stack, destination);
		this.#copies = before?.copies ?? [];
		try {
			this.#copies = await listCopies(this.#bucket, this.#copies, timeZone);
			this.#listedAt = new Date().toISOString();
			const aborted = await abortUnfinished(this.#bucket);
			if (aborted.length > 0)
				this.#warn(`unfinished uploads of a killed run were aborted: ${aborted.join(", ")}`);
			await this.#uploadMissing();
			this.#copies = await listCopies(this.#bucket, this.#copies, timeZone);
			// What was there may be all there is: nothing is let go while something could not be brought.
			if (this.#failures.length === 0) await this.#applyRetention();
		} catch (error) {
			this.#fail(error);
		}
		this.#waiting = (await this.#plan()).upload;
		this.#tellOfClock();
		return await this.#remember(before);
	}

	/** Until nothing is missing that has not failed: while one is sent, another may be made. */
	async #uploadMissing(): Promise<void> {
		const given = new Set<string>();
		for (;;) {
			const file = (await this.#plan()).upload.find((name) => !given.has(name));
			if (file === undefined) return;
			given.add(file);
			const index = await readIndex(join(this.#context.config.backupDirectory, file));
			if (!index) continue;
			try {
				await this.#upload(index);
			} catch (error) {
				this.#context.signal.throwIfAborted();
				if (!(error instanceof OffsiteError && error.concernsOne)) throw error;
				this.#failures.push(error);
			}
		}
	}

	async #upload(index: IndexFile): Promise<void> {
		const { config, report } = this.#context;
		const { archive, size } = index;
		const progress = new Progress(report, `uploading ${archive}`, size);
		await uploadPoint(this.#bucket, config.backupDirectory, index, (bytes) => progress.set(bytes));
		this.#uploaded.push(archive);
		// Known as it is listed next time; until then nothing plans it again.
		this.#copies = await listCopies(this.#bucket, this.#copies, config.timeZone);
	}

	async #applyRetention(): Promise<void> {
		const first = await this.#plan();
		if (first.supersede.length + first.reprieve.length === 0) return;
		this.#copies = await listCopies(this.#bucket, this.#copies, this.#context.config.timeZone, true);
		const { supersede, reprieve } = await this.#plan();
		try {
			for (const file of reprieve) await this.#mark(file, false);
			for (const file of supersede) await this.#mark(file, true);
		} catch (error) {
			if (!isNotImplemented(error)) throw error;
			this.#warn(`the server of ${this.#bucket.destination} keeps no tags, so nothing there ever expires`);
		}
	}

	async #mark(file: string, superseded: boolean): Promise<void> {
		const copy = this.#copies.find((one) => one.file === file) as OffsiteCopy;
		const marked = await setSuperseded(this.#bucket, copy, superseded);
		this.#copies = this.#copies.map((one) => (one === copy ? marked : one));
		if (superseded) this.#superseded.push(file);
	}

	async #plan() {
		const { config } = this.#context;
		return planOffsite(
			this.#copies,
			await listPoints(config.backupDirectory, config.timeZone),
			{ retentionDays: this.#bucket.config.retentionDays, minimumCopies: config.minimumCopies },
			config.stack,
			new Date(),
		);
	}

	#fail(error: unknown): void {
		const { signal } = this.#context;
		const cause = signal.aborted ? signal.reason : error;
		this.#failures.push(explainOffsite(cause, this.#bucket.destination));
	}

	#warn(message: string): void {
		this.#warnings.push(message);
		this.#context.report({ event: "warning", message });
	}

	/** The SDK signs with the server's time once it has seen it; everything else still goes by the wrong one. */
	#tellOfClock(): void {
		const { systemClockOffset } = this.#bucket.client.config;
		if (Math.abs(systemClockOffset) < remarkableSkew) return;
		const server = new Date(Date.now() + systemClockOffset).toISOString();
		this.#warn(
			`the clock of this host ${clockDifference(server)} the one of ${this.#bucket.destination}; set it: timedatectl set-ntp true`,
		);
	}

	async #remember(before: OffsiteRecord | undefined): Promise<PushResult> {
		const { backupDirectory, stack } = this.#context.config;
		const [failure] = this.#failures;
		const endedAt = new Date().toISOString();
		const lastPush: PushRecord = {
			startedAt: this.#startedAt.toISOString(),
			endedAt,
			outcome: failure ? "failed" : "success",
			failure: failure instanceof OffsiteError ? failure.kind : failure && "other",
			message:
				this.#failures.length > 0 ? this.#failures.map(({ message }) => message).join("; ") : undefined,
			uploaded: this.#uploaded,
			superseded: this.#superseded,
			waiting: [...this.#waiting],
			warnings: this.#warnings,
		};
		await writeOffsite(backupDirectory, stack, {
			formatVersion: 1,
			destination: this.#bucket.destination,
			listedAt: this.#listedAt ?? before?.listedAt,
			copies: this.#copies,
			lastPush,
			lastSuccess: failure ? before?.lastSuccess : endedAt,
		});
		return {
			...lastPush,
			destination: this.#bucket.destination,
			copies: this.#copies.filter((copy) => copy.stack === stack && isGoodCopy(copy)).length,
			exitCode: failure?.exitCode ?? 0,
		};
	}
}
