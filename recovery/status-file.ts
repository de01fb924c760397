/** What the agent remembers between its starts, beside the recovery points: `.<stack>.status.json`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeDurably } from "./durable-file.ts";
import { pointClasses } from "./manifest.ts";

const runSchema = z.object({
	kind: z.enum(["full", "database"]),
	class: z.enum(pointClasses),
	startedAt: z.iso.datetime(),
	endedAt: z.iso.datetime(),
	outcome: z.enum(["success", "failed"]),
	/** The file made. */
	file: z.string().optional(),
	/** Why it failed. */
	message: z.string().optional(),
	/** Whether a signal, or whoever had asked for it, ended it: that is no fault of the backups. */
	interrupted: z.boolean().optional(),
	/** Seconds until it was on the disk, and for reading it back. */
	seconds: z.object({ making: z.number(), verifying: z.number() }).optional(),
});

const skipSchema = z.object({
	kind: z.enum(["full", "database"]),
	class: z.enum(pointClasses),
	at: z.iso.datetime(),
	/** Who held the lock. */
	message: z.string(),
});

const count = z.number().int().min(0).default(0);

const statusSchema = z.object({
	/** When the agent first ran for this stack. */
	since: z.iso.datetime(),
	lastRun: runSchema.optional(),
	lastSuccess: runSchema.optional(),
	/** The last run that never began, because somebody else held the lock: neither good nor failed. */
	lastSkipped: skipSchema.optional(),
	/** Runs since then, by how they ended. */
	runs: z.object({ success: count, failed: count, skipped: count }).prefault({}),
});

export type AgentStatus = z.infer<typeof statusSchema>;
export type RunRecord = z.infer<typeof runSchema>;
export type SkipRecord = z.infer<typeof skipSchema>;

export function statusPath(directory: string, stack: string): string {
	return join(directory, `.${stack}.status.json`);
}

/** Undefined when there is none that can be believed: it is a memory aid, and nothing depends on it alone. */
export async function readStatus(directory: string, stack: string): Promise<AgentStatus | undefined> {
	try {
		return statusSchema.parse(JSON.parse(await readFile(statusPath(directory, stack), "utf8")));
	} catch {
		return undefined;
	}
}

export async function writeStatus(
	directory: string,
	stack: string,
	status: z.input<typeof statusSchema>,
): Promise<void> {
	await writeDurably(statusPath(directory, stack), `${JSON.stringify(status, null, "\t")}\n`);
}
