import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { pointClasses } from "../../recovery/manifest.ts";
import { isFromTheFuture, isGood } from "../../recovery/points.ts";
import { planRetention, type RetentionPolicy, waitingDays } from "../../recovery/retention.ts";
import { type PointSketch, point } from "./fixtures.ts";

const now = new Date("2026-06-15T12:00:00Z");
const policy = (daily: number, minimumCopies = 3): RetentionPolicy => ({
	days: { daily, weekly: 28, manual: 30, safety: 14 },
	minimumCopies,
});
const deleted = (sketches: PointSketch[], rules: RetentionPolicy, at = now) =>
	planRetention(
		sketches.map((sketch, i) => point(sketch, now, i)),
		rules,
		"test",
		at,
	)
		.decisions.filter((one) => one.action === "delete")
		.map((one) => one.file);

test("each class is kept for its own days", () => {
	const young: PointSketch[] = [0.1, 0.2, 0.3].map((ageDays) => ({ ageDays }));
	const old: PointSketch[] = [
		{ ageDays: 8 },
		{ ageDays: 8, class: "weekly" },
		{ ageDays: 29, class: "weekly" },
		{ ageDays: 29, class: "manual" },
		{ ageDays: 31, class: "manual" },
		{ ageDays: 13, class: "safety" },
		{ ageDays: 15, class: "safety" },
		{ ageDays: 8, kind: "database" },
	];
	expect(deleted([...young, ...old], policy(7))).toEqual([
		"point-3",
		"point-5",
		"point-7",
		"point-9",
		"point-10",
	]);
});

test("one that is not offsite yet stays two weeks longer, and no more", () => {
	const ages = [0.1, 0.2, 0.3, 8, 7 + waitingDays - 0.5, 7 + waitingDays + 0.5];
	const points = ages.map((ageDays, i) => point({ ageDays }, now, i));
	const plan = (waiting: ReadonlySet<string>) =>
		planRetention(points, policy(7), "test", now, waiting)
			.decisions.slice(3)
			.map((one) => one.reason ?? one.action);
	expect(plan(new Set(points.map(({ file }) => file)))).toEqual(["waiting", "waiting", "delete"]);
	expect(plan(new Set(["point-4"]))).toEqual(["delete", "waiting", "delete"]);
	expect(plan(new Set())).toEqual(["delete", "delete", "delete"]);
});

test("retention 0 keeps the floor", () => {
	const points = Array.from({ length: 6 }, (_, i) => ({ ageDays: i + 1 }));
	expect(deleted(points, policy(0))).toEqual(["point-3", "point-4", "point-5"]);
	expect(deleted(points, policy(0, 0))).toHaveLength(5);
	expect(deleted(points, policy(0, Number.NaN))).toHaveLength(5);
});

test("when backups stopped long ago nothing ages", () => {
	const stopped = [{ ageDays: 400 }, { ageDays: 401 }, { ageDays: 402 }, { ageDays: 403 }, { ageDays: 406 }];
	expect(deleted(stopped, policy(7, 1))).toEqual([]);
});

test("a clock that jumps a year ahead leaves the floor, and one that jumps back deletes nothing", () => {
	const points = Array.from({ length: 10 }, (_, i) => ({ ageDays: i }));
	const ahead = [{ ageDays: -365 }, ...points];
	expect(deleted(ahead, policy(7), new Date(now.getTime() + 365.01 * 86_400_000))).not.toContain("point-1");
	expect(deleted(points, policy(7), new Date(now.getTime() - 365 * 86_400_000))).toEqual([]);
});

test("what is dated in the future stays and is not counted as a copy", () => {
	const points = [
		{ ageDays: -300 },
		{ ageDays: -200 },
		{ ageDays: -100 },
		{ ageDays: 1 },
		{ ageDays: 90 },
		{ ageDays: 91 },
	];
	const plan = planRetention(
		points.map((one, i) => point(one, now, i)),
		policy(7),
		"test",
		now,
	);
	expect(plan.decisions.map((one) => one.reason)).toEqual([
		"future",
		"future",
		"future",
		"floor",
		"floor",
		"floor",
	]);
	expect(plan.copiesKept).toBe(3);
});

test("damaged, database-only, foreign and index-less files are no copies, and strangers stay", () => {
	const points: PointSketch[] = [
		{ ageDays: 1, good: false },
		{ ageDays: 1, kind: "database" },
		{ ageDays: 1, whose: "foreign" },
		{ ageDays: 1, whose: "no-index" },
		{ ageDays: 50 },
		{ ageDays: 51 },
		{ ageDays: 60 },
		{ ageDays: 61 },
		{ ageDays: 900, whose: "foreign" },
		{ ageDays: 900, whose: "no-index" },
		{ ageDays: 62, good: false },
	];
	expect(deleted(points, policy(7))).toEqual(["point-7", "point-10"]);
});

test("without one good full recovery point nothing is deleted", () => {
	expect(
		deleted(
			[
				{ ageDays: 500, good: false },
				{ ageDays: 600, kind: "database" },
			],
			policy(0),
		),
	).toEqual([]);
});

const sketch = fc.record({
	ageDays: fc.double({ min: -800, max: 800, noNaN: true }),
	class: fc.constantFrom(...pointClasses),
	kind: fc.constantFrom("full" as const, "database" as const),
	good: fc.boolean(),
	whose: fc.constantFrom(
		"own" as const,
		"own" as const,
		"own" as const,
		"foreign" as const,
		"no-index" as const,
	),
});
const anyPolicy = fc.record({
	days: fc.record({ daily: fc.nat(60), weekly: fc.nat(60), manual: fc.nat(60), safety: fc.nat(60) }),
	minimumCopies: fc.integer({ min: -2, max: 8 }),
});

test("property: no points, policy or clock undercut the floor or touch a stranger's file", () => {
	fc.assert(
		fc.property(
			fc.array(sketch, { maxLength: 30 }),
			anyPolicy,
			fc.integer({ min: -900, max: 900 }),
			(sketches, rules, shift) => {
				const at = new Date(now.getTime() + shift * 86_400_000);
				const points = sketches.map((one, i) => point(one, now, i));
				const plan = planRetention(points, rules, "test", at);
				const gone = new Set(plan.decisions.filter((one) => one.action === "delete").map((one) => one.file));
				const copies = points.filter(
					(p) => p.stack === "test" && p.kind === "full" && isGood(p) && !isFromTheFuture(p, at),
				);
				const left = copies.filter((p) => !gone.has(p.file));
				expect(left.length).toBeGreaterThanOrEqual(Math.min(copies.length, Math.max(1, rules.minimumCopies)));
				const newest = copies.map((p) => p.createdAt.getTime()).sort((a, b) => b - a);
				for (const p of points) {
					if (!gone.has(p.file)) continue;
					expect(p.stack).toBe("test");
					expect(isFromTheFuture(p, at)).toBe(false);
					const age = (at.getTime() - p.createdAt.getTime()) / 86_400_000;
					expect(age).toBeGreaterThan(rules.days[p.class as "daily"]);
					if (p.kind === "full" && isGood(p)) {
						expect(newest.filter((time) => time >= p.createdAt.getTime()).length).toBeGreaterThan(
							Math.max(1, rules.minimumCopies),
						);
					}
				}
				// A second run at the same time finds nothing more to do.
				const again = planRetention(
					points.filter((p) => !gone.has(p.file)),
					rules,
					"test",
					at,
				);
				expect(again.decisions.filter((one) => one.action === "delete")).toEqual([]);
			},
		),
		{ numRuns: 2000 },
	);
});
