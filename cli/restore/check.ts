/** Looks into the file before anything is asked or changed, and tells what a restore of it would do. */
import { join } from "node:path";
import { databaseName } from "../../components/identity.ts";
import type { Verification } from "../../recovery/index-file.ts";
import {
	type RedisChoice,
	type RestoreTarget,
	replaces,
	restoreTargets,
} from "../../recovery/restore-journal.ts";
import type { VerbContext } from "../context.ts";
import { age, count, formatBytes, formatSize, type Output, table } from "../output.ts";
import { measureVolumes } from "../volumes.ts";
import type { RestoreChoice } from "./choose.ts";
import type { Ground } from "./ground.ts";
import { partOptions, runStep, sourcePath } from "./helper.ts";
import type { Counts } from "./run.ts";

/** What the agent found in a file. */
export interface Checked extends Counts {
	readonly kind: "full" | "database" | "files";
	readonly origin: "manifest" | "old-script";
	/** Of which stack it is, where the file says so. */
	readonly stack: string | null;
	readonly class: string | null;
	readonly createdAt: string | null;
	readonly size: number;
	readonly encrypted: boolean;
	readonly verified: Pick<Verification, "ok" | "how" | "at">;
	/** What would be replaced. */
	readonly targets: RestoreTarget[];
	/** As asked; `restore` also where Redis alone was named. */
	readonly redis: RedisChoice;
	readonly warnings: readonly string[];
}

/**
 * Checks hash, format, PostgreSQL major, free space and key. Nothing is changed.
 *
 * @param withDatabase whether the running server is asked. @default true
 * @throws StackError with exit code 7 when the file is damaged, 4 when the key does not open it.
 */
export async function checkFile(
	context: VerbContext,
	ground: Ground,
	{ source, only, redis, identity }: RestoreChoice,
	{ id, withDatabase = true }: { id: string; withDatabase?: boolean },
): Promise<Checked> {
	const { value } = await runStep<Checked>(context, ground, {
		...{ step: "check", id, source, identity },
		targets: restoreTargets.filter((target) => ground.volumes.get(target)?.found),
		args: [sourcePath(source), ...partOptions(only ?? [], redis), ...(withDatabase ? [] : ["--rebuild"])],
	});
	// An emptied Redis is replaced too, though nothing of the file takes its place.
	return { ...value, targets: restoreTargets.filter((target) => replaces(value, target)) };
}

/** Everything that the operator ought to know before the answer. */
export async function describeRestore(
	context: VerbContext,
	ground: Ground,
	choice: RestoreChoice,
	checked: Checked,
): Promise<string> {
	const { output } = context;
	const volumes = checked.targets.flatMap((target) => ground.volumes.get(target) ?? []);
	const sizes = await measureVolumes(context, volumes);
	const rows = checked.targets.map((target) => {
		const volume = ground.volumes.get(target);
		const size = sizes.get(volume?.name ?? "");
		const what = {
			database: `database ${databaseName}`,
			media: "uploads",
			static: "static files",
			redis: "Redis",
		};
		const becomes = target === "redis" && choice.redis === "clear" ? "emptied" : "replaced";
		return [
			volume?.name ?? target,
			what[target],
			size === undefined ? "unknown" : formatSize(size),
			output.styleMessage("red", becomes),
		];
	});
	return [
		`Restore into stack ${context.stack}:`,
		"",
		...factLines(choice, checked, output).map(([name, fact]) => `  ${name.padEnd(9)} ${fact}`),
		"",
		table(["volume", "holds", "size now", "becomes"], rows),
		"",
		...consequences(choice, checked),
	].join("\n");
}

function factLines(
	{ source }: RestoreChoice,
	checked: Checked,
	output: Output,
): [name: string, fact: string][] {
	const { createdAt, stack, origin, size, encrypted, verified } = checked;
	const made = createdAt === null ? undefined : new Date(createdAt);
	const word = `verified (${verified.how}) ${age(new Date(verified.at))} ago`;
	return [
		["file", join(source.directory, source.file)],
		[
			"made",
			[
				made ? `${age(made)} ago, ${made.toISOString().replace(/\.\d+Z$/, "Z")}` : "at an unknown time",
				stack !== null ? `by stack ${stack}` : origin === "old-script" ? "by the old script" : "",
				checked.class ?? "",
			]
				.filter(Boolean)
				.join(", "),
		],
		[
			"size",
			[formatBytes(size), ...(encrypted ? ["encrypted"] : []), output.styleMessage("green", word)].join(", "),
		],
		["holds", countText(checked)],
	];
}

/** `13017 rows in 17 tables, 100 media files`. */
export function countText({ rows, tables, files }: Counts): string {
	const parts = [
		rows === null ? "" : `${count(rows, "row")} in ${count(tables ?? 0, "table")}`,
		...Object.entries(files).map(([part, number]) => count(number, `${part} file`)),
	].filter(Boolean);
	return parts.join(", ") || "not counted: it has no manifest";
}

function consequences(choice: RestoreChoice, { targets }: Checked): string[] {
	return [
		...(choice.redis === "keep" && targets.includes("database")
			? ["Redis (sessions, queue) stays as it is; --redis restore or --redis clear changes that."]
			: []),
		...(choice.redis === "restore" ? ["Jobs that were queued in the restored Redis run again."] : []),
		...(choice.rebuild
			? ["The damaged database files are set aside in their volume, and a new cluster takes their place."]
			: []),
		choice.safetyBackup
			? "A safety backup of what is there now is made first. The application stops only for the swap."
			: choice.rebuild && targets.every((target) => target === "database")
				? "No safety backup can be made of a database that does not start."
				: "No safety backup is made: what is there now is lost for good.",
	];
}
