/** Evidence of restore drills, beside the recovery points: `.<stack>.drill.json`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeDurably } from "./durable-file.ts";

const instant = z.iso.datetime();
const count = z.number().int().min(0);

const drillSchema = z.object({
	/** The recovery point, and the hash of the very bytes that were restored. */
	file: z.string(),
	sha256: z.string(),
	/** When the recovery point was made. */
	pointAt: instant,
	startedAt: instant,
	endedAt: instant,
	outcome: z.enum(["passed", "failed"]),
	/** What was not as the manifest says. Empty when it passed. */
	problems: z.array(z.string()),
	/** Server into which it was restored, such as `17.12`. */
	postgresVersion: z.string(),
	tables: count,
	rows: count,
	/** Files restored, by part: media, static. */
	files: z.record(z.string(), count),
	seconds: z.number(),
});

const drillFileSchema = z.object({
	stack: z.string(),
	/** Oldest first. */
	drills: z.array(drillSchema),
});

export type DrillFile = z.infer<typeof drillFileSchema>;
export type DrillRecord = z.infer<typeof drillSchema>;

/** Drills that are kept. */
const kept = 50;

export function drillPath(directory: string, stack: string): string {
	return join(directory, `.${stack}.drill.json`);
}

/** No drills where there is no file that can be believed. */
export async function readDrills(directory: string, stack: string): Promise<DrillFile> {
	try {
		return drillFileSchema.parse(JSON.parse(await readFile(drillPath(directory, stack), "utf8")));
	} catch {
		return { stack, drills: [] };
	}
}

/** Adds one; the last that passed is kept however many came after it. */
export async function recordDrill(directory: string, stack: string, drill: DrillRecord): Promise<void> {
	const { drills } = await readDrills(directory, stack);
	const lastPassed = drills.findLast(({ outcome }) => outcome === "passed");
	const recent = drills.slice(-(kept - 2));
	const older = lastPassed && !recent.includes(lastPassed) ? [lastPassed] : [];
	const file: DrillFile = { stack, drills: [...older, ...recent, drill] };
	await writeDurably(drillPath(directory, stack), `${JSON.stringify(file, null, "\t")}\n`);
}
