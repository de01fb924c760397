/**
 * What a handover notes before it changes anything, so that one that was killed is undone, or finished, by the next
 * one. While it lies in the stack's state directory, neither engine applies the stack.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod";
import { handoverFile } from "../../components/engine-in-use.ts";
import { writeDurably } from "../../recovery/durable-file.ts";

const journalSchema = z.object({
	to: z.enum(["local", "pulumi"]),
	/** `trying`: to be undone. `accepted`: to be finished. */
	phase: z.enum(["trying", "accepted"]),
	startedAt: z.iso.datetime(),
	/** Whether the handover made the stack in Pulumi. */
	created: z.boolean(),
	/** Text of Pulumi.<stack>.yaml before Pulumi noted in it how it encrypts secrets. */
	settings: z.string(),
});

export type HandoverJournal = z.infer<typeof journalSchema>;

export function readJournal(stateDirectory: string): HandoverJournal | undefined {
	const file = handoverFile(stateDirectory);
	return existsSync(file) ? journalSchema.parse(JSON.parse(readFileSync(file, "utf8"))) : undefined;
}

export async function writeJournal(stateDirectory: string, journal: HandoverJournal): Promise<void> {
	const file = handoverFile(stateDirectory);
	await mkdir(dirname(file), { recursive: true, mode: 0o700 });
	await writeDurably(file, `${JSON.stringify(journal, undefined, "\t")}\n`);
}

export async function removeJournal(stateDirectory: string): Promise<void> {
	await rm(handoverFile(stateDirectory), { force: true });
}
