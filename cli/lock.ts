/** The stack's lock, held while a verb changes something. */
import { existsSync } from "node:fs";
import { acquireLock, lockFile, lockHolder, lockTokenVariable } from "../recovery/lock.ts";
import { restoreJournalFile } from "../recovery/restore-journal.ts";
import type { VerbContext } from "./context.ts";

export interface RecoveryOptions {
	/**
	 * Whether an unfinished restore may be put right without its database, where that does not start any more: the
	 * verb replaces or deletes it anyway. @default false
	 */
	readonly databaseMayBeLost?: boolean;
}

/**
 * Runs `work` under the stack's lock, after an unfinished restore has been put right. Programs started by it
 * find the lock's token in their environment, and a verb that finds it there itself is part of the holder's work.
 *
 * @throws LockedError naming the holder, before anything is done.
 */
export async function withLock<T>(
	context: VerbContext,
	operation: string,
	work: () => Promise<T>,
	recovery: RecoveryOptions = {},
): Promise<T> {
	const file = lockFile(context.load().directories.backups, context.stack);
	const given = process.env[lockTokenVariable];
	if (given && lockHolder(file)?.token === given) return work();
	const lock = acquireLock(file, operation);
	process.env[lockTokenVariable] = lock.token;
	// The second Ctrl-C ends the process without unwinding.
	process.once("exit", lock.release);
	try {
		await putRestoreRight(context, recovery);
		return await work();
	} finally {
		lock.release();
		process.off("exit", lock.release);
		if (given === undefined) delete process.env[lockTokenVariable];
		else process.env[lockTokenVariable] = given;
	}
}

/** For verbs whose own work takes the lock elsewhere. */
export async function settleRestore(
	context: VerbContext,
	operation: string,
	recovery: RecoveryOptions = {},
): Promise<void> {
	if (hasUnfinishedRestore(context)) await withLock(context, operation, async () => {}, recovery);
}

export function hasUnfinishedRestore(context: VerbContext): boolean {
	return existsSync(restoreJournalFile(context.load().directories.backups, context.stack));
}

/** Its code is loaded only where it is needed: every verb that takes the lock comes by here. */
async function putRestoreRight(context: VerbContext, recovery: RecoveryOptions): Promise<void> {
	if (!hasUnfinishedRestore(context)) return;
	const { recoverRestore } = await import("./recover-restore.ts");
	await recoverRestore(context, recovery);
}
