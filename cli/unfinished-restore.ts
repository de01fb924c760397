/** A restore that is under way, or was cut off, as its journal tells it. */
import { lockFile, lockHolder } from "../recovery/lock.ts";
import { type RestorePhase, readRestoreJournal } from "../recovery/restore-journal.ts";
import type { VerbContext } from "./context.ts";

export interface UnfinishedRestore {
	readonly archive: string;
	readonly startedAt: string;
	readonly phase: RestorePhase;
	/** Whether somebody is at it. */
	readonly underWay: boolean;
}

/** Undefined where there is none. A journal that cannot be read is told by the verbs that need it. */
export async function findUnfinishedRestore(context: VerbContext): Promise<UnfinishedRestore | undefined> {
	const { backups } = context.load().directories;
	const journal = await readRestoreJournal(backups, context.stack).catch(() => undefined);
	if (!journal) return undefined;
	const { archive, startedAt, phase } = journal;
	return { archive, startedAt, phase, underWay: lockHolder(lockFile(backups, context.stack)) !== undefined };
}

/** What is so, without what mends it. */
export function unfinishedText({ archive, phase, underWay }: UnfinishedRestore): string {
	return underWay
		? `a restore of ${archive} is under way (${phase})`
		: `the restore of ${archive} was cut off (${phase})`;
}
