/** `stack backup` and `stack backup-db`: a recovery point, now. */
import type { PointKind } from "../../recovery/manifest.ts";
import type { VerbContext } from "../context.ts";
import { describeBackup, makeBackup } from "../make-backup.ts";
import { count, duration } from "../output.ts";

export async function backup(context: VerbContext): Promise<void> {
	await make(context, "full");
}

export async function backupDatabase(context: VerbContext): Promise<void> {
	await make(context, "database");
}

async function make(context: VerbContext, kind: PointKind): Promise<void> {
	const { output, stack } = context;
	output.progress(`stack ${stack}, ${kind === "full" ? "a full backup" : "a backup of the database"}`);
	const made = await makeBackup(context, kind, "manual");
	output.data(stack, { kind, ...made });
	output.result(`Made ${made.path}: ${describeBackup(made)}, in ${duration(made.totalSeconds)}`);
	if (made.pruned.length > 0) {
		output.progress(
			`Retention deleted ${count(made.pruned.length, "older backup")}: ${made.pruned.join(", ")}`,
		);
	}
}
