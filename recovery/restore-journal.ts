/**
 * The journal of a restore: `.<stack>.restore.json` in the backup directory. While it exists the restore is
 * unfinished, and it says what has to be done or undone; the state itself is found in the database and the
 * volumes. Whoever works on the restore writes it: the operator's command, then its helper, never both at once.
 */
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { RunError } from "../components/run-error.ts";
import { syncDirectory, writeDurably } from "./durable-file.ts";

/** What a restore can replace. */
export const restoreTargets = ["database", "media", "static", "redis"] as const;
export type RestoreTarget = (typeof restoreTargets)[number];

/** What becomes of Redis: an old queue would run its jobs again, so by default it stays as it is. */
export const redisChoices = ["keep", "restore", "clear"] as const;
export type RedisChoice = (typeof redisChoices)[number];

/**
 * - `staging`: new content is being made beside the live one, which is untouched;
 * - `staged`: it is complete and on the disk;
 * - `swapping`: the two are being exchanged;
 * - `swapped`: the new content is live, the old one is kept;
 * - `finishing`: the old content is being removed, so there is no way back;
 * - `undoing`: the old content is being brought back;
 * - `undone`: it is back and nothing of the restore is left; services remain to be started.
 */
export const restorePhases = [
	"staging",
	"staged",
	"swapping",
	"swapped",
	"finishing",
	"undoing",
	"undone",
] as const;
export type RestorePhase = (typeof restorePhases)[number];

const journalSchema = z.object({
	formatVersion: z.literal(1),
	/** Names everything that the restore makes. */
	id: z.string().regex(/^[0-9a-f]{8}$/),
	stack: z.string(),
	/** File name of what is restored. */
	archive: z.string(),
	/** What the operator typed for it. */
	source: z.string(),
	startedAt: z.iso.datetime(),
	phase: z.enum(restorePhases),
	targets: z.array(z.enum(restoreTargets)),
	redis: z.enum(redisChoices),
	/** Services to be started again; written before the first is stopped. */
	services: z.array(z.string()),
	/** The recovery point that was made before. */
	safetyBackup: z.string().optional(),
	/** The database's files are damaged, and a new cluster takes their place. */
	rebuild: z.boolean().optional(),
	/** What is known of the database's part. Contains passwords of roles as the server keeps them. */
	database: z
		.object({
			/** Whether there was a database of the stack's name before. */
			existed: z.boolean(),
			/** The comment that the database will have. */
			comment: z.string().nullable(),
			/** Roles that did not exist before. */
			createdRoles: z.array(z.string()),
			/** Roles of the recovery point, and the statements that give them what they had. */
			roles: z.object({ names: z.array(z.string()), statements: z.array(z.string()) }),
			/** Statements that give them back what they had before the swap. */
			rolesBefore: z.array(z.string()),
		})
		.optional(),
});

export type RestoreJournal = z.infer<typeof journalSchema>;

/** Whether the restore replaces the content of this target, the choice for Redis considered. */
export function replaces(journal: Pick<RestoreJournal, "targets" | "redis">, target: RestoreTarget): boolean {
	return target === "redis" ? journal.redis !== "keep" : journal.targets.includes(target);
}

export function restoreJournalFile(directory: string, stack: string): string {
	return join(directory, `.${stack}.restore.json`);
}

/**
 * The journal of an unfinished restore; undefined when there is none.
 *
 * @throws RunError when there is one that cannot be read: what has to be done is then not known.
 */
export async function readRestoreJournal(
	directory: string,
	stack: string,
): Promise<RestoreJournal | undefined> {
	const path = restoreJournalFile(directory, stack);
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw unreadable(path, (error as Error).message);
	}
	try {
		return journalSchema.parse(JSON.parse(text));
	} catch (error) {
		const reason =
			error instanceof z.ZodError
				? error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
				: (error as Error).message;
		throw unreadable(path, reason);
	}
}

/** Replaces it at once; when this resolves it is on the disk. */
export async function writeRestoreJournal(directory: string, journal: RestoreJournal): Promise<void> {
	const text = `${JSON.stringify(journalSchema.parse(journal), null, "\t")}\n`;
	await writeDurably(restoreJournalFile(directory, journal.stack), text);
}

export async function removeRestoreJournal(directory: string, stack: string): Promise<void> {
	const path = restoreJournalFile(directory, stack);
	await rm(path, { force: true });
	await syncDirectory(dirname(path));
}

/** What to say to whoever wants to work on a stack whose restore is unfinished. */
export function unfinishedRestore(journal: RestoreJournal): string {
	return `a restore of ${journal.archive}, begun at ${journal.startedAt}, is unfinished (${journal.phase}); nothing was changed. Put it right first: ./docker-dev.sh start`;
}

function unreadable(path: string, reason: string): RunError {
	return new RunError(
		`the journal of an unfinished restore, ${path}, cannot be read (${reason}), so nothing was changed. Run this as the user who owns it, with the version of the program that began the restore`,
	);
}
