/** Carries out a retention plan. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { syncDirectory } from "./durable-file.ts";
import { indexPath } from "./index-file.ts";
import type { RetentionPlan } from "./retention.ts";

/**
 * Deletes what the plan says, the archive before its index: an index alone is swept, an archive alone would
 * look like a stranger's. The caller holds the stack's lock.
 *
 * @returns the files deleted.
 */
export async function carryOut(directory: string, plan: RetentionPlan): Promise<string[]> {
	const deleted: string[] = [];
	for (const decision of plan.decisions) {
		if (decision.action !== "delete") continue;
		const path = join(directory, decision.file);
		await rm(path, { force: true });
		await rm(indexPath(path), { force: true });
		deleted.push(decision.file);
	}
	if (deleted.length > 0) await syncDirectory(directory);
	return deleted;
}
