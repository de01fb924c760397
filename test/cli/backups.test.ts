/** What the backup verbs say, from made-up recovery points; the real ones are in test/integration. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { AgentProgress, progressText } from "../../cli/agent-progress.ts";
import { backupAsJson, backupText, hostWords } from "../../cli/backup-status.ts";
import { createContext } from "../../cli/context.ts";
import { Output } from "../../cli/output.ts";
import { parse } from "../../cli/parse.ts";
import { migrates } from "../../cli/plan.ts";
import { newestOf, readPoints } from "../../cli/recovery-points.ts";
import { list, pointTable } from "../../cli/verbs/backup-list.ts";
import { decisionTable } from "../../cli/verbs/backup-prune.ts";
import { resultText } from "../../cli/verbs/backup-verify.ts";
import type { Operation, Step } from "../../engine/engine.ts";
import { type OffsiteState, offsiteState } from "../../recovery/offsite.ts";
import type { RecoveryPoint } from "../../recovery/points.ts";

const now = new Date("2026-03-01T12:00:00Z");
const output = new Output({ color: false });

function point(changes: Partial<RecoveryPoint>): RecoveryPoint {
	return {
		file: "full_backup_20260301_020000.tar.gz",
		kind: "full",
		origin: "indexed",
		stack: "dev",
		class: "daily",
		createdAt: new Date("2026-03-01T02:00:00Z"),
		size: 3 << 20,
		encrypted: false,
		verified: { ok: true, how: "content", at: "2026-03-01T02:00:05Z" },
		...changes,
	};
}

const oldScript = point({
	file: "full_backup_20250101_020000.tar.gz",
	origin: "no-index",
	stack: undefined,
	class: undefined,
	verified: undefined,
	createdAt: new Date("2025-01-01T02:00:00Z"),
});

test("sub-verbs are parsed with their own options, and global ones count at every place", () => {
	expect(parse(["backup"])).toMatchObject({ command: { name: "backup" } });
	expect(parse(["-s", "a", "backup", "--json", "prune", "--dry-run", "-s", "b"])).toMatchObject({
		command: { name: "backup prune" },
		globals: { stack: "b", json: true },
		invocation: { arguments: [], options: { dryRun: true } },
	});
	expect(parse(["backup", "verify", "one", "two", "--identity", "key"])?.invocation).toEqual({
		arguments: ["one", "two"],
		options: { identity: "key" },
	});
	expect(() => parse(["backup", "lst"])).toThrow("too many arguments");
});

test("--no-backup is this program's own, and everything else is manage.py's", () => {
	expect(parse(["backend-migrate", "--no-backup", "--fake", "documents"])?.invocation).toEqual({
		arguments: ["--fake", "documents"],
		options: { backup: false },
	});
	expect(parse(["backend-migrate"])?.invocation.options).toEqual({});
	expect(parse(["up", "--no-backup"])?.invocation.options).toEqual({ backup: false });
});

test("the list marks what is damaged, of the old script, and of another stack", () => {
	const points = [
		oldScript,
		point({ file: "full_backup_20260301_010000.tar.gz", stack: "prod", class: "weekly" }),
		point({ damage: "it has 10 bytes, and 20 were written", verified: undefined, class: "manual" }),
		point({
			file: "full_backup_20260301_030000.tar.gz.age",
			verified: { ok: true, how: "bytes", at: "2026-03-01T02:00:05Z" },
			size: 100,
			createdAt: new Date("2026-03-02T12:00:00Z"),
		}),
	];
	const [head, ...rows] = pointTable(points, "dev", output, now)
		.split("\n")
		.map((line) => line.split(/ {2,}/));
	expect(head).toEqual(["FILE", "CLASS", "AGE", "SIZE", "VERIFIED", "STACK"]);
	expect(rows.map(([, ...cells]) => cells)).toEqual([
		["old script", "424 days", "3.0M", "no", "unknown"],
		["weekly", "10 hours", "3.0M", "content", "prod (another stack)"],
		["manual", "10 hours", "3.0M", "DAMAGED", "dev"],
		["daily", "in 1 day", "100B", "bytes", "dev"],
	]);
});

test("the newest is the newest full one, good or not, and never another stack's", () => {
	const damaged = point({ file: "damaged", damage: "short" });
	const database = point({ file: "database", kind: "database" });
	const others = point({ file: "others", stack: "prod" });
	const future = point({ file: "future", createdAt: new Date("2027-01-01T00:00:00Z") });
	expect(newestOf([oldScript, damaged, database, others, future], "dev", now)).toBe(damaged);
	expect(newestOf([database, others], "dev", now)).toBe(database);
	expect(newestOf([others], "dev", now)).toBeUndefined();
	expect(newestOf([future], "dev", now)).toBe(future);
});

const state = { fresh: true, points: [], next: new Date("2026-03-02T02:00:00Z"), status: undefined };

test("status says which backup is the newest, and when the next is planned", () => {
	const newest = point({});
	const text = backupText(
		"dev",
		{ directory: "/b", state: { ...state, newest, points: [newest, oldScript] } },
		output,
		now,
	);
	expect(text.split("\n")).toEqual([
		"Newest backup: full_backup_20260301_020000.tar.gz, 10 hours old, 3.0M, verified (content)",
		"1 backup in /b; next one in 14 hours",
	]);
});

test("status says when the first is due, and words what is overdue, damaged or failed as a problem", () => {
	expect(backupText("qa", { directory: "/b", state }, output, now)).toBe(
		"There is no backup yet. Make one: ./docker-dev.sh -s qa backup\n0 backups in /b; the first is due in 14 hours",
	);
	const damaged = point({ damage: "short" });
	const run = {
		kind: "full",
		class: "daily",
		startedAt: "2026-03-01T02:00:00Z",
		endedAt: "2026-03-01T11:00:00Z",
	} as const;
	const message = "the disk with /backups is full. Then ./docker-dev.sh backup";
	const overdue = {
		...state,
		fresh: false,
		reason: "a full backup was due; run ./docker-dev.sh backup",
		due: new Date("2026-03-01T02:00:00Z"),
		points: [damaged],
		status: {
			since: "2026-01-01T00:00:00Z",
			lastRun: { ...run, outcome: "failed" as const, message },
			runs: { success: 0, failed: 1, skipped: 0 },
		},
	};
	expect(backupText("qa", { directory: "/host/b", state: overdue }, output, now).split("\n")).toEqual([
		"BACKUP OVERDUE: a full one was due 10 hours ago. Make one: ./docker-dev.sh -s qa backup",
		"There is no good backup.",
		"0 backups in /host/b; the first is due in 14 hours",
		"The last run failed 1 hour ago: the disk with /host/b is full. Then ./docker-dev.sh -s qa backup",
	]);
	expect(backupText("dev", { directory: "/b", state: overdue }, output, now)).toContain(
		"Damaged: full_backup_20260301_020000.tar.gz",
	);
	expect(backupAsJson("dev", { directory: "/b", state: overdue })).toMatchObject({
		fresh: false,
		newest: null,
		counts: { own: 1, goodFull: 0, damaged: 1, others: 0 },
	});
	expect(backupText("dev", { directory: "/b", unknown: "EACCES" }, output, now)).toBe(
		"Backups: not known: EACCES",
	);
});

test("status has a line for the bucket, and words an upload that failed as a problem", () => {
	const offsite = offsiteState(undefined, "s3://shop/backups/dev", "dev", now);
	const lines = (more: Partial<OffsiteState>) =>
		backupText("dev", { directory: "/b", state, offsite: { ...offsite, ...more } }, output, now)
			.split("\n")
			.slice(2);
	expect(lines({})).toEqual([
		"Offsite: nothing was uploaded yet to s3://shop/backups/dev: ./docker-dev.sh backup push",
	]);
	const push = {
		startedAt: "2026-03-01T10:59:00Z",
		endedAt: "2026-03-01T11:00:00Z",
		outcome: "success" as const,
		...{ uploaded: [], superseded: [], waiting: [], warnings: [] },
	};
	const held = {
		copies: 2,
		newest: { file: "full_backup_20260301_020000.tar.gz", createdAt: "2026-03-01T02:00:00Z" },
	};
	const described =
		"Offsite: 2 good copies in s3://shop/backups/dev, the newest 10 hours old: full_backup_20260301_020000.tar.gz";
	expect(lines({ ...held, lastPush: push })).toEqual([described]);
	const message = "the server does not know the access key. Then ./docker-dev.sh backup push";
	const failed = { ...push, outcome: "failed" as const, message, waiting: ["one", "two"] };
	expect(lines({ ...held, lastPush: failed })).toEqual([
		described,
		`The last upload failed 1 hour ago; 2 backups not there: ${message}`,
	]);
});

test("words of the container become those of the host", () => {
	expect(hostWords("qa", "/srv/b", "Lock: /backups/.qa.lock, not /data/backups nor /backups-old")).toBe(
		"Lock: /srv/b/.qa.lock, not /data/backups nor /backups-old",
	);
});

test("a damaged file is told with every problem, a good one with how far it was checked", () => {
	const file = "full_backup_20260301_020000.tar.gz";
	const result = { file, ok: true, how: "content", origin: "manifest", problems: [] } as const;
	expect(resultText({ ...result, ok: false, problems: ["a.sql is missing", "b is short"] }, output)).toBe(
		`DAMAGED   ${file}\n          a.sql is missing\n          b is short`,
	);
	expect(resultText(result, output)).toMatch(/^good {6}.*manifest says$/);
	expect(resultText({ ...result, how: "bytes" }, output)).toContain("--identity FILE reads the content too");
	expect(resultText({ ...result, origin: "old-script" }, output)).toContain("made by the old script");
});

test("a plan of the retention tells why each one goes or stays", () => {
	const decision = { file: "f", class: "daily", size: 1024, ageDays: 31.2, keptDays: 30 } as const;
	const rows = decisionTable(
		[
			{ ...decision, action: "delete" },
			{ ...decision, action: "keep", reason: "floor" },
			{ ...decision, action: "keep", reason: "young", ageDays: 2 },
			{ ...decision, action: "keep", reason: "foreign", class: undefined },
		],
		output,
	).split("\n");
	expect(rows.slice(1).map((row) => row.replace(/ +/g, " "))).toEqual([
		"f daily 1.0K delete 31.2 of 30 days",
		"f daily 1.0K keep one of the newest verified full backups, which always stay",
		"f daily 1.0K keep 2.0 of 30 days",
		"f old script 1.0K keep not known to be of this stack, so never deleted",
	]);
});

test("progress has bytes, rate and time left, and promises nothing once the estimate is outgrown", () => {
	const half = { bytes: 50 << 20, total: 100 << 20, bytesPerSecond: 10 << 20, secondsLeft: 5 };
	expect(progressText(half, 5)).toBe("50% of 100M, 10M/s, 5 s left");
	expect(progressText({ ...half, bytes: 100 << 20, secondsLeft: 0 }, 5)).toBe("100M, 10M/s");
	expect(progressText({ ...half, secondsLeft: 125 }, 5)).toContain("2 min 5 s left");
	expect(progressText({ total: 100 }, 1.5)).toBe("1.5 s");
});

test("without a terminal there is one plain line a step, and none for a step that failed", () => {
	const stderr = new PassThrough();
	const progress = new AgentProgress(
		new Output({ color: false, stderr: stderr as unknown as NodeJS.WriteStream }),
	);
	progress.show({ event: "step", step: "full backup", total: 100 });
	progress.show({ event: "progress", step: "full backup", bytes: 50, total: 100 });
	progress.show({ event: "warning", message: "a socket was left out" });
	progress.show({ event: "step", step: "reading back", total: 100 });
	progress.end(false);
	expect(String(stderr.read()).replace(/[\d.]+ s/, "T")).toBe(
		"warning  a socket was left out\ndone      full backup  T\n",
	);
});

test("a plan migrates when it runs the migrations or brings another image of the backend", () => {
	const step = (name: string, operation: Operation, property?: string): Step => ({
		...{ operation, name, urn: name, type: "docker:index/container:Container" },
		differences: property ? [{ property, replaces: true }] : [],
	});
	expect(migrates([step("stack-migrations-run", "replace", "triggers")])).toBe(true);
	expect(migrates([step("stack-backend-container", "replace", "image")])).toBe(true);
	expect(migrates([step("stack-backend-container", "replace", "envs")])).toBe(false);
	expect(migrates([step("stack-backend-container", "create")])).toBe(false);
	expect(
		migrates([step("stack-migrations-run", "same"), step("stack-db-container", "replace", "image")]),
	).toBe(false);
	expect(migrates([step("stack-migrations-run", "delete")])).toBe(false);
});

let project: string;
beforeEach(() => {
	project = mkdtempSync(join(tmpdir(), "backups-"));
	writeFileSync(join(project, "Pulumi.yaml"), "name: persistent-stack\nruntime: nodejs\n");
	writeFileSync(join(project, "Pulumi.dev.yaml"), "config: {}\n");
});
afterEach(() => rmSync(project, { recursive: true }));

test("list reads no archive and makes nothing: neither where there is no directory, nor of foreign files", async () => {
	const written: string[] = [];
	const stdout = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
	const json = new Output({ json: true, quiet: true, color: false, stdout });
	const context = createContext({ directory: project }, json, new AbortController().signal);
	await list(context);
	expect(readdirSync(project).sort()).toEqual(["Pulumi.dev.yaml", "Pulumi.yaml"]);
	mkdirSync(join(project, "backups"));
	writeFileSync(join(project, "backups", "notes.txt"), "mine");
	writeFileSync(join(project, "backups", "db_backup_20260101_000000.sql"), "old");
	await list(context);
	expect(written.map((line) => JSON.parse(line).points)).toEqual([
		[],
		[
			expect.objectContaining({
				file: "db_backup_20260101_000000.sql",
				ownership: "unknown",
				hasIndex: false,
			}),
		],
	]);
	expect(await readPoints(context)).toHaveLength(1);
});
