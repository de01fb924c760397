/** The program in the backup container. Results go to stdout, progress as lines of JSON to stderr. */
import { parseArgs } from "node:util";
import { safetyOccasions } from "../recovery/manifest.ts";
import { listPoints, newestGoodFull, type RecoveryPoint } from "../recovery/points.ts";
import type { VerifyResult } from "../recovery/verify.ts";
import { verifyAndRecord } from "../recovery/verify-and-record.ts";
import { type AgentConfig, readConfig } from "./config.ts";
import { currentState, publicPoint } from "./current-state.ts";
import { decompressBy } from "./decompress.ts";
import { drill } from "./drill.ts";
import { AgentError, exitCodes, explain } from "./failure.ts";
import { prune, retentionPlan, runJob, updateLink } from "./job.ts";
import type { Answer } from "./offsite/commands.ts";
import { copyOffsite } from "./offsite/copy-offsite.ts";
import { Progress, reportToStderr } from "./progress.ts";
import type { RunContext } from "./recovery-point.ts";
import { isUninterruptible, restoreCommand, restoreUsage } from "./restore/commands.ts";

const usage = `agent run                                         the scheduler
agent backup [--class daily|weekly|manual|safety] [--before OCCASION] [--no-prune] [--with-stdin]
agent backup-db [--class manual|safety] [--before OCCASION] [--no-prune] [--with-stdin]
agent list [--offsite]
agent verify [FILE...] [--latest] [--all] [--identity FILE] [--offsite]
agent push                                        uploads what is missing offsite
agent fetch FILE|KEY|s3://BUCKET/KEY|--latest     downloads a copy into the backup directory
agent prune [--dry-run]
agent drill [FILE] [--identity FILE]              restores into a scratch database and directory, and compares
agent status
agent health                                      exit code 1 when the newest recovery point is too old
${restoreUsage}
--before: what a safety backup is made before, of ${safetyOccasions.join(", ")}.
All but run and health take --json. --with-stdin: the run ends when its input ends. --credentials FILE: a key
other than the settings', for fetch and whatever takes --offsite.`;

const { values: options, positionals } = parseArgs({
	allowPositionals: true,
	options: {
		class: { type: "string", default: "manual" },
		before: { type: "string" },
		json: { type: "boolean", default: false },
		"with-stdin": { type: "boolean", default: false },
		"dry-run": { type: "boolean", default: false },
		latest: { type: "boolean", default: false },
		all: { type: "boolean", default: false },
		identity: { type: "string" },
		"no-prune": { type: "boolean", default: false },
		id: { type: "string" },
		only: { type: "string", multiple: true, default: [] },
		redis: { type: "string", default: "keep" },
		rebuild: { type: "boolean", default: false },
		"keep-journal": { type: "boolean", default: false },
		offsite: { type: "boolean", default: false },
		credentials: { type: "string" },
		help: { type: "boolean", default: false },
	},
});

type Command = (context: RunContext, operands: readonly string[]) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
	run: async (context) => {
		// Metrics and mail are for this one alone: every other command starts without them.
		const { runScheduler } = await import("./scheduler.ts");
		await runScheduler(context);
		return 0;
	},
	backup: (context) => makeNow(context, "full"),
	"backup-db": (context) => makeNow(context, "database"),
	list: async (context) => {
		if (options.offsite) return await offsite(({ list }) => list(context, options));
		const { config } = context;
		const points = await listPoints(config.backupDirectory, config.timeZone);
		print(points.map(publicPoint), () => points.map(pointLine).join("\n") || "There is no recovery point.");
		return 0;
	},
	verify: (context, operands) =>
		options.offsite
			? offsite((commands) => commands.verify(context, operands, options))
			: verify(context, operands),
	push: (context) => offsite(({ pushNow }) => pushNow(context)),
	fetch: (context, operands) => offsite(({ fetch }) => fetch(context, operands, options)),
	prune: async (context) => {
		const { plan, deleted } = options["dry-run"]
			? { plan: await retentionPlan(context.config), deleted: [] }
			: await prune(context);
		print({ dryRun: options["dry-run"], deleted, ...plan }, () =>
			plan.decisions
				.map(
					(one) =>
						`${one.action.padEnd(6)} ${one.file}  ${one.reason ?? `${one.ageDays.toFixed(1)} of ${one.keptDays} days`}`,
				)
				.join("\n"),
		);
		return 0;
	},
	drill: async (context, [file]) => {
		const record = await drill(context, { file, identity: options.identity });
		const { outcome, problems, seconds, tables, rows, files } = record;
		print(record, () =>
			[
				`${record.file}: drill ${outcome} in ${seconds.toFixed(1)} s: ${tables} tables, ${rows} rows, ${Object.entries(
					files,
				)
					.map(([set, count]) => `${count} files of ${set}`)
					.join(", ")}`,
				...problems,
			].join("\n"),
		);
		return outcome === "passed" ? 0 : exitCodes.invalid;
	},
	status: async ({ config }) => {
		const state = await currentState(config);
		const { newest, reason, points } = state;
		const text = () => reason ?? `The newest recovery point is ${newest?.file ?? "still to be made"}.`;
		print({ ...state, newest: newest && publicPoint(newest), points: points.length }, text);
		return state.fresh ? 0 : 1;
	},
	restore: async (context, operands) => {
		const result = await restoreCommand(context, operands, {
			...options,
			keepJournal: options["keep-journal"],
		});
		print(result, () => JSON.stringify(result));
		return 0;
	},
	health: async ({ config }) => {
		const { fresh, reason } = await currentState(config);
		if (!fresh) process.stdout.write(`${reason}\n`);
		return fresh ? 0 : 1;
	},
};

/** A command that has to do with the bucket. */
async function offsite(
	run: (commands: typeof import("./offsite/commands.ts")) => Promise<Answer>,
): Promise<number> {
	const { value, text, exitCode = 0 } = await run(await import("./offsite/commands.ts"));
	print(value, () => text);
	return exitCode;
}

async function makeNow(context: RunContext, kind: "full" | "database"): Promise<number> {
	const pointClass = options.class;
	if (
		pointClass !== "daily" &&
		pointClass !== "weekly" &&
		pointClass !== "manual" &&
		pointClass !== "safety"
	) {
		throw new AgentError(
			`there is no class ${pointClass}; write daily, weekly, manual or safety`,
			exitCodes.usage,
		);
	}
	const before = safetyOccasions.find((occasion) => occasion === options.before);
	if (options.before !== undefined && (before === undefined || pointClass !== "safety")) {
		throw new AgentError(
			`--before ${options.before} does not fit; write --class safety and one of ${safetyOccasions.join(", ")}`,
			exitCodes.usage,
		);
	}
	const { index, seconds, pruned } = await runJob(context, kind, pointClass, {
		prune: !options["no-prune"],
		before,
	});
	const { archive: file, size, sha256, encrypted, verified, manifest } = index;
	context.report({ event: "made", message: file });
	const copied = await copyOffsite(context);
	const { warnings } = manifest;
	print(
		{ file, size, sha256, encrypted, verified, seconds, pruned, warnings, offsite: copied, manifest },
		() => file,
	);
	return 0;
}

async function verify({ config, report, signal }: RunContext, operands: readonly string[]): Promise<number> {
	const points = await listPoints(config.backupDirectory, config.timeZone);
	const newest =
		newestGoodFull(points, config.stack, new Date())?.file ?? points.findLast((p) => p.kind === "full")?.file;
	const files = options.all
		? points.map((point) => point.file)
		: operands.length > 0
			? operands
			: newest
				? [newest]
				: [];
	if (files.length === 0)
		throw new AgentError("there is no recovery point to verify; make one: ./docker-dev.sh backup");
	const results: VerifyResult[] = [];
	for (const file of files) {
		const point = points.find((one) => one.file === file);
		if (!point)
			throw new AgentError(
				`there is no recovery point ${file}; see them with ./docker-dev.sh backup list`,
				exitCodes.usage,
			);
		const progress = new Progress(report, `reading ${file}`, point.size);
		results.push(
			await verifyAndRecord(config.backupDirectory, file, {
				signal,
				identity: options.identity,
				decompress: decompressBy(signal),
				onProgress: (bytes) => progress.set(bytes),
			}),
		);
	}
	await updateLink(config);
	print(
		results.map(({ file, ok, how, problems, origin }) => ({ file, ok, how, problems, origin })),
		() =>
			results
				.map(({ file, ok, how, problems }) =>
					ok ? `${file}: good (${how})` : `${file}: DAMAGED: ${problems.join("; ")}`,
				)
				.join("\n"),
	);
	return results.every((result) => result.ok) ? 0 : exitCodes.invalid;
}

function pointLine(point: RecoveryPoint): string {
	const state =
		point.damage ??
		(point.verified ? (point.verified.ok ? `verified (${point.verified.how})` : "DAMAGED") : "not verified");
	return [
		point.file,
		point.class ?? "old script",
		point.createdAt.toISOString(),
		`${point.size} bytes`,
		state,
	].join("  ");
}

function print(value: unknown, text: () => string): void {
	process.stdout.write(`${options.json ? JSON.stringify(value, null, 2) : text()}\n`);
}

async function main(): Promise<number> {
	const [name = "", ...operands] = positionals;
	const command = commands[name];
	if (!command || options.help) {
		process.stderr.write(`${usage}\n`);
		return options.help ? 0 : exitCodes.usage;
	}
	let config: AgentConfig;
	try {
		config = readConfig(process.env);
	} catch (error) {
		reportToStderr({ event: "failed", message: (error as Error).message });
		return exitCodes.usage;
	}
	const stop = new AbortController();
	let endedBy: number | undefined;
	const end = (code: number, why: string) => {
		endedBy ??= code;
		stop.abort(new AgentError(`${why}; what it had made was removed`, code));
	};
	const goesOn = name === "restore" && isUninterruptible(operands);
	process.on("SIGTERM", () => goesOn || end(exitCodes.terminated, "the run was ended by SIGTERM"));
	process.on("SIGINT", () => goesOn || end(exitCodes.interrupted, "the run was interrupted"));
	if (options["with-stdin"]) {
		process.stdin.on("end", () => end(exitCodes.interrupted, "whoever asked for the run went away")).resume();
	}
	try {
		const code = await command({ config, report: reportToStderr, signal: stop.signal }, operands);
		return name === "run" ? 0 : (endedBy ?? code);
	} catch (error) {
		const failure = explain(error, config.backupDirectory);
		reportToStderr({ event: "failed", message: failure.message });
		return endedBy ?? failure.exitCode;
	}
}

process.exitCode = await main();
process.stdin.destroy();
