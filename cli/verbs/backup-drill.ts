/** `stack backup drill`: restores a backup into a scratch database and a scratch directory, and compares. */
import { type DrillRecord, drillPath } from "../../recovery/drill-file.ts";
import { findBackupFile, identityFile } from "../backup-file.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { stackContainers } from "../docker.ts";
import { exitCodes, StackError } from "../errors.ts";
import { count, duration } from "../output.ts";
import { drillApart } from "../verify-apart.ts";

export async function backupDrill(
	context: VerbContext,
	{ arguments: [name], options }: Invocation,
): Promise<number> {
	const { output, stack, signal } = context;
	const { backups } = context.load().directories;
	const file = name === undefined ? undefined : fileOf(context, name, backups);
	const identity = options.identity === undefined ? undefined : identityFile(String(options.identity));
	const container = (await stackContainers(stack, signal)).find(({ service }) => service === "backup");
	if (!container) {
		throw new StackError(`stack ${stack} has no backup container, whose image a drill runs in`, {
			fix: context.command("up"),
		});
	}
	output.progress(`stack ${stack}, a restore drill; nothing of the stack is touched`);
	const { value } = await drillApart(context, container, backups, file, identity);
	const evidence = drillPath(backups, stack);
	output.data(stack, { ...value, evidence });
	output.result(describe(value));
	for (const problem of value.problems) output.result(`  ${problem}`);
	output.progress(`kept as evidence in ${evidence}`);
	if (value.outcome === "passed") return exitCodes.done;
	output.progress(
		`Make a new backup and try that: ${context.command("backup")}, ${context.command("backup drill")}`,
	);
	return exitCodes.backupInvalid;
}

function describe({ file, outcome, tables, rows, files, postgresVersion, seconds }: DrillRecord): string {
	const restored = [
		`${count(rows, "row")} of ${count(tables, "table")} into PostgreSQL ${postgresVersion}`,
		...Object.entries(files).map(([set, number]) => `${count(number, "file")} of ${set}`),
	];
	const verdict = outcome === "passed" ? "The drill passed" : "The drill FAILED";
	return `${verdict}: ${file}, in ${duration(seconds)}: ${restored.join(", ")}`;
}

function fileOf(context: VerbContext, name: string, backups: string): string {
	const found = findBackupFile(context, name);
	if (found.directory === backups) return found.file;
	throw new StackError(`${name} is not in the backup directory ${backups}, where drills are held`, {
		exitCode: exitCodes.usage,
		fix: `copy it there with its .json, or read it through: ${context.command(`backup verify ${name}`)}`,
	});
}
