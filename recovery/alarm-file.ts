/** What the agent remembers of its alarms, beside the recovery points: `.<stack>.alarms.json`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeDurably } from "./durable-file.ts";

const instant = z.iso.datetime();
const count = z.number().int().min(0);

const openSchema = z.object({
	/** What is wrong, of what; why; and what mends it. */
	what: z.string(),
	why: z.string(),
	mend: z.string(),
	/** Whether the dead-man switch is told. */
	aboutBackups: z.boolean(),
	since: instant,
	/** When it was last told. */
	toldAt: instant,
});

/** Where messages go: an address that takes JSON, and one that expects a sign of life. */
export const alarmTargets = ["webhook", "ping"] as const;
export type AlarmTarget = (typeof alarmTargets)[number];

const messageSchema = z.object({
	target: z.enum(alarmTargets),
	/** Of a ping: whether it says that all is well. */
	good: z.boolean(),
	body: z.string(),
	tries: count,
	/** Not before. */
	at: instant,
});

const deliverySchema = z.object({
	delivered: count.default(0),
	givenUp: count.default(0),
	/** Why the last try failed; absent when it did not. Never the address, which is a secret. */
	problem: z.string().optional(),
	problemAt: instant.optional(),
});

const alarmFileSchema = z.object({
	/** Alarms that go on, by their condition. */
	open: z.record(z.string(), openSchema).default({}),
	/** End of the last good run that was told of. */
	toldRun: instant.optional(),
	/** Messages that are still to be delivered, oldest first. */
	outbox: z.array(messageSchema).default([]),
	deliveries: z
		.object({ webhook: deliverySchema.prefault({}), ping: deliverySchema.prefault({}) })
		.prefault({}),
});

export type AlarmFile = z.infer<typeof alarmFileSchema>;
export type OpenAlarm = z.infer<typeof openSchema>;
export type AlarmMessage = z.infer<typeof messageSchema>;

/** An empty one where there is none that can be believed: then what goes on is told once more. */
export async function readAlarms(directory: string, stack: string): Promise<AlarmFile> {
	try {
		return alarmFileSchema.parse(JSON.parse(await readFile(alarmPath(directory, stack), "utf8")));
	} catch {
		return alarmFileSchema.parse({});
	}
}

export async function writeAlarms(directory: string, stack: string, alarms: AlarmFile): Promise<void> {
	await writeDurably(alarmPath(directory, stack), `${JSON.stringify(alarms, null, "\t")}\n`);
}

function alarmPath(directory: string, stack: string): string {
	return join(directory, `.${stack}.alarms.json`);
}
