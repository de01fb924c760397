import {
	existsSync,
	lstatSync,
	mkdtempSync,
	readdirSync,
	readlinkSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { freshness } from "../../recovery/freshness.ts";
import { readIndex, writeIndex } from "../../recovery/index-file.ts";
import { updateLatest } from "../../recovery/latest.ts";
import type { SafetyOccasion } from "../../recovery/manifest.ts";
import { listPoints, newestToRestore } from "../../recovery/points.ts";
import { carryOut } from "../../recovery/prune.ts";
import { planRetention } from "../../recovery/retention.ts";
import { sweepPartials } from "../../recovery/sweep.ts";
import { index, manifest, point } from "./fixtures.ts";

const directory = () => mkdtempSync(join(tmpdir(), "rectest-"));

async function store(where: string, day: number, over: Parameters<typeof manifest>[0] = {}): Promise<string> {
	const startedAt = new Date(Date.UTC(2026, 0, day, 2)).toISOString();
	const file = `full_backup_202601${String(day).padStart(2, "0")}_020000.tar.gz`;
	writeFileSync(join(where, file), "x");
	await writeIndex(where, index(file, { manifest: manifest({ startedAt, ...over }) }));
	return file;
}

test("listing reads index files, and shows what has none or does not fit", async () => {
	const where = directory();
	const good = await store(where, 1);
	const cut = await store(where, 2);
	writeFileSync(join(where, cut), "");
	writeFileSync(join(where, "full_backup_20260103_020000.tar.gz"), "old script");
	writeFileSync(join(where, "notes.txt"), "foreign");
	const points = await listPoints(where, "UTC");
	expect(
		points.map(({ file, origin, damage, verified }) => [file, origin, damage !== undefined, verified?.ok]),
	).toEqual([
		[good, "indexed", false, true],
		[cut, "indexed", true, undefined],
		["full_backup_20260103_020000.tar.gz", "no-index", false, undefined],
	]);
});

test("an index that was copied beside another file is not believed", async () => {
	const where = directory();
	const file = await store(where, 1);
	const other = "full_backup_20260105_020000.tar.gz";
	writeFileSync(join(where, other), "x");
	writeFileSync(join(where, `${other}.json`), JSON.stringify(await readIndex(join(where, file))));
	expect(await readIndex(join(where, other))).toBeUndefined();
});

test("what the dry run says is what the real run deletes, and strangers' files stay", async () => {
	const where = directory();
	for (let day = 1; day <= 20; day++) await store(where, day);
	await store(where, 21, { stack: "other" });
	writeFileSync(join(where, "full_backup_20200101_000000.tar.gz"), "old script");
	writeFileSync(join(where, "mine.tar.gz"), "foreign");
	const policy = { days: { daily: 7, weekly: 28, manual: 30, safety: 14 }, minimumCopies: 3 };
	const plan = planRetention(
		await listPoints(where, "UTC"),
		policy,
		"test",
		new Date("2026-01-20T12:00:00Z"),
	);
	const planned = plan.decisions.filter((one) => one.action === "delete").map((one) => one.file);
	const before = readdirSync(where);
	expect(await carryOut(where, plan)).toEqual(planned);
	expect(planned).toHaveLength(12);
	const gone = before.filter((name) => !existsSync(join(where, name)));
	expect(gone.sort()).toEqual(planned.flatMap((file) => [file, `${file}.json`]).sort());
});

test("latest.tar.gz is a relative link to the newest good full recovery point", async () => {
	const where = directory();
	await store(where, 1);
	const second = await store(where, 2);
	const future = await store(where, 28);
	const now = new Date("2026-01-02T12:00:00Z");
	expect(await updateLatest(where, await listPoints(where, "UTC"), "test", now)).toBe(second);
	expect(readlinkSync(join(where, "latest.tar.gz"))).toBe(second);
	expect(future).not.toBe(second);
	await writeIndex(
		where,
		index(second, { verified: { ok: false, how: "content", at: now.toISOString(), problem: "x" } }),
	);
	expect(await updateLatest(where, await listPoints(where, "UTC"), "test", now)).toBe(
		"full_backup_20260101_020000.tar.gz",
	);
	expect(await updateLatest(where, [], "test", now)).toBeUndefined();
	expect(readdirSync(where)).not.toContain("latest.tar.gz");
	writeFileSync(join(where, "latest.tar.gz"), "somebody's file");
	await updateLatest(where, await listPoints(where, "UTC"), "test", now);
	expect(lstatSync(join(where, "latest.tar.gz")).isFile()).toBe(true);
});

test("restore --latest means the newest good one, but for what a restore has put aside", async () => {
	const where = directory();
	const now = new Date("2026-01-09T12:00:00Z");
	const newest = async () => newestToRestore(await listPoints(where, "UTC"), "test", now)?.file;
	const safety = (day: number, before: SafetyOccasion) => store(where, day, { class: "safety", before });
	const aside = await safety(1, "restore");
	expect(await newest()).toBe(aside);
	const nightly = await store(where, 2);
	await safety(3, "restore");
	expect(await newest()).toBe(nightly);
	expect(await updateLatest(where, await listPoints(where, "UTC"), "test", now)).toBe(nightly);
	// It is the last that there was.
	const beforeDeletion = await safety(4, "clean-all");
	expect(await newest()).toBe(beforeDeletion);
});

test("the sweep removes what killed runs of this stack left, and nothing else", async () => {
	const where = directory();
	const kept = await store(where, 1);
	const orphan = await store(where, 2);
	const { rmSync, mkdirSync } = await import("node:fs");
	rmSync(join(where, orphan));
	const foreign = await store(where, 3, { stack: "other" });
	rmSync(join(where, foreign));
	mkdirSync(join(where, ".partial-test-20260101_020000"));
	writeFileSync(join(where, ".partial-test-20260101_020000", "db.sql"), "x");
	mkdirSync(join(where, ".partial-test-two-20260101_020000"));
	writeFileSync(join(where, ".partial-file-old"), "x");
	utimesSync(join(where, ".partial-file-old"), 0, 0);
	writeFileSync(join(where, ".partial-file-young"), "x");
	const draftOf = (stack: string) => `.${stack}.lock.00000000-0000-4000-8000-000000000000`;
	for (const stack of ["test", "other"]) {
		writeFileSync(join(where, draftOf(stack)), "x");
		utimesSync(join(where, draftOf(stack)), 0, 0);
	}
	symlinkSync("/etc", join(where, "etc"));
	expect((await sweepPartials(where, "test")).sort()).toEqual([
		".partial-file-old",
		".partial-test-20260101_020000",
		draftOf("test"),
		`${orphan}.json`,
	]);
	expect(readdirSync(where).sort()).toEqual(
		[
			".partial-file-young",
			".partial-test-two-20260101_020000",
			draftOf("other"),
			"etc",
			kept,
			`${kept}.json`,
			`${foreign}.json`,
		].sort(),
	);
	expect(existsSync("/etc/hostname")).toBe(true);
});

test("it is red when the newest recovery point is older than the schedule allows", () => {
	const now = new Date("2026-06-15T12:00:00Z");
	const schedule = {
		schedules: { daily: "0 2 * * *", weekly: "0 3 * * 0" },
		timeZone: "UTC",
		graceMinutes: 90,
	};
	const judge = (ageDays: number[], since?: string, at = now) =>
		freshness(
			ageDays.map((age, i) => point({ ageDays: age }, now, i)),
			"test",
			schedule,
			since ? new Date(since) : undefined,
			at,
		);
	expect(judge([0.2]).fresh).toBe(true);
	expect(judge([1.2]).fresh).toBe(false);
	expect(judge([1.2]).reason).toMatch(/due at 2026-06-15T02:00.*newest good one is of/);
	// Within the grace of a run that is only late.
	expect(judge([0.6], undefined, new Date("2026-06-15T03:00:00Z")).fresh).toBe(true);
	expect(judge([]).fresh).toBe(false);
	expect(judge([], "2026-06-15T06:00:00Z").fresh).toBe(true);
	// A recovery point of the future is none of today.
	expect(judge([-100, 3]).fresh).toBe(false);
});
