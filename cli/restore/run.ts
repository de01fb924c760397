/** A restore from the safety backup to the last stroke; whatever fails on the way, the stack is as before. */
import { randomBytes } from "node:crypto";
import type { ServiceName } from "../../components/catalogue.ts";
import {
	type RedisChoice,
	type RestoreJournal,
	type RestoreTarget,
	readRestoreJournal,
	writeRestoreJournal,
} from "../../recovery/restore-journal.ts";
import type { BackupFile } from "../backup-file.ts";
import type { VerbContext } from "../context.ts";
import { type ExitCode, exitCodes, StackError } from "../errors.ts";
import { InterruptedError } from "../failure.ts";
import { type MadeBackup, safetyBackup } from "../make-backup.ts";
import { timed } from "../services.ts";
import { findGround, type Ground } from "./ground.ts";
import { type HelperRequest, prepareStep, type RestoreStep, runStep, stepRequest } from "./helper.ts";
import { makeCluster } from "./new-cluster.ts";
import { undoRestore } from "./undo.ts";
import {
	awaitAnswers,
	containersOf,
	isRunning,
	startServices,
	stopServices,
	usersOfTargets,
} from "./writers.ts";

export interface RestoreRequest {
	/** What names everything of this restore. */
	readonly id: string;
	readonly source: BackupFile;
	/** What the operator typed for it. */
	readonly typed: string;
	/** What is replaced. */
	readonly targets: readonly RestoreTarget[];
	readonly redis: RedisChoice;
	readonly identity: string | undefined;
	/** Whether the files of the database are damaged, so that it does not start. */
	readonly rebuild: boolean;
	readonly safetyBackup: boolean;
	/** Whether the services are started again. */
	readonly restart: boolean;
	/** For the services to be healthy after the swap. */
	readonly seconds: number;
}

/** What was counted in what is now in place. */
export interface Counts {
	readonly tables: number | null;
	readonly rows: number | null;
	/** Files by part. */
	readonly files: Readonly<Partial<Record<RestoreTarget, number>>>;
}

/** What the agent says when it has staged; without a database nothing of one. */
type Staged = Pick<Counts, "files"> & Partial<Counts>;

export interface Restored extends Counts {
	readonly safetyBackup: MadeBackup | undefined;
	/** Services that were stopped, and those of them that run again. */
	readonly stopped: readonly ServiceName[];
	readonly restarted: readonly ServiceName[];
	/** From the first service stopped to all of them answering; undefined where they were not started. */
	readonly downtimeSeconds: number | undefined;
	readonly seconds: {
		readonly safetyBackup: number;
		readonly staging: number;
		/** Services stopped, and the data exchanged. */
		readonly swapping: number;
		/** Services started until they answer; next to nothing where none is. */
		readonly starting: number;
		/** What was there before removed. */
		readonly clearing: number;
	};
	/** The damaged files that were set aside. */
	readonly damaged: { readonly path: string; readonly bytes: number } | undefined;
}

/** Does it all; the caller holds the lock. */
export async function runRestore(context: VerbContext, request: RestoreRequest): Promise<Restored> {
	const began = performance.now();
	const isDatabaseOnly = request.targets.every((target) => target === "database");
	const made = request.safetyBackup
		? await safetyBackup(context, isDatabaseOnly ? "database" : "full", {
				name: "safety backup",
				before: "restore",
				untouched: "nothing was changed",
				skip: "the same command with --no-safety-backup, which gives up the way back to what is there now",
				// Its turn is another time: it might delete the very file that is restored.
				prune: false,
			})
		: undefined;
	const backedUp = performance.now();
	return await new Restore(context, request, await findGround(context), made).run((backedUp - began) / 1000);
}

/** The restore is done, and only its remains are in the way. */
class FinishError extends StackError {}

/** What names everything of one restore. */
export function newRestoreId(): string {
	return randomBytes(4).toString("hex");
}

class Restore {
	readonly #context: VerbContext;
	readonly #request: RestoreRequest;
	readonly #ground: Ground;
	readonly #safetyBackup: MadeBackup | undefined;
	#journal: RestoreJournal;
	#stoppedAt = 0;

	constructor(
		context: VerbContext,
		request: RestoreRequest,
		ground: Ground,
		safetyBackup: MadeBackup | undefined,
	) {
		this.#context = context;
		this.#request = request;
		this.#ground = ground;
		this.#safetyBackup = safetyBackup;
		this.#journal = {
			formatVersion: 1,
			id: request.id,
			stack: context.stack,
			archive: request.source.file,
			source: request.typed,
			startedAt: new Date().toISOString(),
			phase: "staging",
			targets: [...request.targets],
			redis: request.redis,
			services: [],
			...(safetyBackup ? { safetyBackup: safetyBackup.file } : {}),
			...(request.rebuild ? { rebuild: true } : {}),
		};
	}

	async run(backupSeconds: number): Promise<Restored> {
		const { restart, rebuild } = this.#request;
		const started = performance.now();
		await this.#write({});
		try {
			if (rebuild) await this.#replaceCluster();
			const { source, identity } = this.#request;
			const { rows = null, tables = null, files } = await this.#step<Staged>("stage", { source, identity });
			this.#context.signal.throwIfAborted();
			const staged = performance.now();
			// Made while the services stop: they are away for as long as this takes.
			const [stopping, making] = await Promise.allSettled([this.#stopUsers(), this.#prepare("swap")]);
			if (stopping.status === "rejected") throw stopping.reason;
			if (making.status === "rejected") throw making.reason;
			const services = stopping.value;
			const { output } = this.#context;
			await timed(output, "exchanged", "data", this.#request.targets.join(", "), async () => {
				await this.#step("swap", {}, making.value);
			});
			const swapped = performance.now();
			const restarted = restart
				? services
				: services.filter((service) => service === "redis" || service === "db");
			const finishing = this.#prepare("finish").catch(() => undefined);
			// Waited for either way: an undo removes only those containers that it finds.
			await this.#startAgain(restarted).finally(() => finishing);
			const up = performance.now();
			const { damaged } = await this.#finish(await finishing);
			return {
				...{ rows, tables, files },
				safetyBackup: this.#safetyBackup,
				stopped: services,
				restarted,
				downtimeSeconds: restart && services.length > 0 ? (up - this.#stoppedAt) / 1000 : undefined,
				seconds: {
					safetyBackup: backupSeconds,
					staging: (staged - started) / 1000,
					swapping: (swapped - staged) / 1000,
					starting: (up - swapped) / 1000,
					clearing: (performance.now() - up) / 1000,
				},
				damaged,
			};
		} catch (error) {
			if (error instanceof FinishError) throw error;
			throw await this.#rollBack(error);
		}
	}

	/** Puts a new cluster in the place of the damaged one, and starts the database on it. */
	async #replaceCluster(): Promise<void> {
		const { output } = this.#context;
		output.progress("a new database cluster");
		await makeCluster(this.#context, this.#ground, this.#journal.id);
		await this.#stopUsers();
		await this.#step("rebuild");
		await startServices(this.#context, ["db"]);
		await awaitAnswers(this.#context, ["db"], this.#request.seconds);
	}

	/** Writes down what runs, then stops it. What an earlier step has stopped still counts. */
	async #stopUsers(): Promise<ServiceName[]> {
		const { rebuild } = this.#request;
		const users = usersOfTargets(this.#request.targets, rebuild && this.#stoppedAt === 0);
		const running = (await containersOf(this.#context, users)).filter(isRunning);
		const services = new Set([...this.#journal.services, ...running.map(({ service }) => service)]);
		await this.#write({ services: [...services] });
		if (this.#stoppedAt === 0) this.#stoppedAt = performance.now();
		await stopServices(this.#context, users);
		return [...services] as ServiceName[];
	}

	async #startAgain(services: readonly ServiceName[]): Promise<void> {
		await startServices(this.#context, services);
		await awaitAnswers(this.#context, services, this.#request.seconds);
		// Nobody has asked for more than this: the new data is in place and answers.
		this.#context.signal.throwIfAborted();
	}

	/** From here there is no way back, and none is needed. */
	async #finish(prepared: string | undefined): Promise<{ damaged?: Restored["damaged"] }> {
		try {
			return await this.#step("finish", {}, prepared);
		} catch (error) {
			throw new FinishError(
				`the restored data is in place and answers, and what was there before could not be removed: ${(error as Error).message}`,
				{ fix: this.#context.command("start"), cause: error },
			);
		}
	}

	/** @returns the error to throw: the one that happened, with what became of the stack. */
	async #rollBack(failure: unknown): Promise<unknown> {
		const { output, command, signal } = this.#context;
		// What fails after Ctrl-C fails because of it.
		const error = signal.aborted ? signal.reason : failure;
		const untouched = this.#journal.services.length === 0;
		try {
			await undoRestore(this.#context, this.#ground);
		} catch (second) {
			output.warning(`what was there before could not be brought back yet: ${(second as Error).message}`);
			return new StackError(`the restore failed: ${(error as Error).message}`, {
				exitCode: (error as Partial<StackError>).exitCode ?? exitCodes.failed,
				fix: `${command("start")} brings back what was there before`,
				cause: error,
			});
		}
		const before = untouched ? "nothing was changed" : "what was there before is back in place";
		if (error instanceof InterruptedError) {
			output.progress(`The restore was given up; ${before}.`);
			return error;
		}
		const { message, exitCode } = error as StackError;
		return new StackError(`the restore failed, and ${before}: ${message}`, {
			exitCode: (exitCode ?? exitCodes.failed) as ExitCode,
			cause: error,
		});
	}

	/** A step of the helper. What it writes to the journal is read back. */
	async #step<T = unknown>(
		step: RestoreStep,
		more: Partial<HelperRequest> = {},
		prepared?: string,
	): Promise<T> {
		const request = { ...stepRequest(this.#journal, step), ...more };
		const { value } = await runStep<T>(this.#context, this.#ground, request, prepared);
		this.#journal = (await readRestoreJournal(this.#ground.directory, this.#context.stack)) ?? this.#journal;
		return value;
	}

	async #prepare(step: RestoreStep): Promise<string> {
		return await prepareStep(this.#context, this.#ground, stepRequest(this.#journal, step));
	}

	async #write(changes: Partial<RestoreJournal>): Promise<void> {
		this.#journal = { ...this.#journal, ...changes };
		await writeRestoreJournal(this.#ground.directory, this.#journal);
	}
}
