/**
 * Retention over two years of days, here and in the bucket: runs that fail, days without a run, a stop of 120
 * days, clocks that jump, uploads that fail, copies that turn out damaged, a lifecycle that takes what is tagged
 * at once. Every day the plans are carried out as the agent does, and the floor has to stand.
 */
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { PointClass } from "../../recovery/manifest.ts";
import { isGoodCopy, type OffsiteCopy } from "../../recovery/offsite.ts";
import { planOffsite } from "../../recovery/offsite-retention.ts";
import { isFromTheFuture, isGood, type RecoveryPoint } from "../../recovery/points.ts";
import { planRetention, waitingDays } from "../../recovery/retention.ts";

const day = 86_400_000;
const firstDay = Date.UTC(2026, 0, 1, 2);
const totalDays = 730;
/** Without an incident, so that what is left in the end is what the policy says. */
const quietDays = 150;
const stack = "test";
const policy = { days: { daily: 14, weekly: 28, manual: 30, safety: 14 }, minimumCopies: 3 };
const offsitePolicy = { retentionDays: 90, minimumCopies: 3 };

/** What befalls one day: probabilities of a two years' life that nobody would wish for. */
interface Day {
	readonly runs: boolean;
	readonly fails: boolean;
	/** A second backup: by hand, before a restore, of the database alone. */
	readonly extra: "manual" | "safety" | "database" | undefined;
	readonly uploads: boolean;
	/** Days by which the host's clock is off. */
	readonly clock: number;
	/** Which of the recovery points here turns out damaged, and which copy. */
	readonly damage: number | undefined;
	readonly copyDamage: number | undefined;
	readonly lifecycle: boolean;
}

const rarely = <T>(value: fc.Arbitrary<T>, weight: number): fc.Arbitrary<T | undefined> =>
	fc.oneof({ weight: 100 - weight, arbitrary: fc.constant(undefined) }, { weight, arbitrary: value });
const chance = (percent: number) => fc.nat(99).map((number) => number < percent);

const anyDay: fc.Arbitrary<Day> = fc.record({
	runs: chance(93),
	fails: chance(8),
	extra: rarely(fc.constantFrom("manual" as const, "safety" as const, "database" as const), 15),
	uploads: chance(85),
	clock: rarely(fc.integer({ min: -500, max: 500 }), 2).map((days) => days ?? 0),
	damage: rarely(fc.nat(1000), 1),
	copyDamage: rarely(fc.nat(1000), 1),
	lifecycle: chance(70),
});

const quietDay: Day = {
	...{ runs: true, fails: false, extra: undefined, uploads: true, clock: 0 },
	...{ damage: undefined, copyDamage: undefined, lifecycle: true },
};

const life = fc
	.record({
		days: fc.array(anyDay, { minLength: totalDays - quietDays, maxLength: totalDays - quietDays }),
		stop: fc.integer({ min: 10, max: totalDays - quietDays - 130 }),
	})
	.map(({ days, stop }) => [
		...days.map((one, at) =>
			at >= stop && at < stop + 120 ? { ...one, runs: false, extra: undefined } : one,
		),
		...Array.from({ length: quietDays }, () => quietDay),
	]);

/** A host, its backup directory and the bucket. */
class World {
	local: RecoveryPoint[] = [
		foreign("full_backup_20250101_020000.tar.gz", "other"),
		foreign("ours-before", undefined),
	];
	bucket: OffsiteCopy[] = [copyOf(foreign("full_backup_20250101_020001.tar.gz", "other"))];
	#made = 0;
	#isQuiet = false;
	/** Those that were made while nothing went wrong, by the true day and not by the clock. */
	readonly quiet = new Set<string>();

	live(number: number, today: Day): void {
		this.#isQuiet = number >= totalDays - quietDays;
		const now = new Date(firstDay + (number + today.clock) * day);
		if (today.damage !== undefined) this.#damage(today.damage);
		if (today.copyDamage !== undefined) this.#damageCopy(today.copyDamage);
		if (today.runs && !today.fails) this.#backUp(number % 7 === 3 ? "weekly" : "daily", "full", now);
		if (today.extra === "database") this.#backUp("manual", "database", now);
		else if (today.extra) this.#backUp(today.extra, "full", now);
		if (today.uploads) this.#push(now);
		if (today.lifecycle) this.bucket = this.bucket.filter((copy) => !copy.superseded);
	}

	#backUp(pointClass: PointClass, kind: "full" | "database", now: Date): void {
		const file = `${kind}-${this.#made++}`;
		if (this.#isQuiet) this.quiet.add(file);
		this.local.push({
			file,
			kind,
			origin: "indexed",
			stack,
			class: pointClass,
			createdAt: now,
			size: 1,
			encrypted: false,
			verified: { ok: true, how: "content", at: now.toISOString() },
		});
		const there = new Set(this.bucket.filter(isGoodCopy).map(({ file }) => file));
		const waiting = new Set(
			this.local.filter((one) => isGood(one) && !there.has(one.file)).map(({ file }) => file),
		);
		const before = this.floorHere(now);
		const plan = planRetention(this.local, policy, stack, now, waiting);
		const gone = new Set(plan.decisions.filter(({ action }) => action === "delete").map(({ file }) => file));
		this.local = this.local.filter(({ file }) => !gone.has(file));
		expect(this.floorHere(now)).toBe(before);
	}

	#push(now: Date): void {
		const plan = () => planOffsite(this.bucket, this.local, offsitePolicy, stack, now);
		for (const file of plan().upload) {
			const point = this.local.find((one) => one.file === file) as RecoveryPoint;
			expect([point.stack, isGood(point)]).toEqual([stack, true]);
			this.bucket = [...this.bucket.filter((copy) => copy.file !== file), copyOf(point)];
		}
		const before = this.floorThere(now);
		const { supersede, reprieve } = plan();
		const mark = (files: readonly string[], superseded: boolean) => {
			this.bucket = this.bucket.map((copy) => (files.includes(copy.file) ? { ...copy, superseded } : copy));
		};
		mark(reprieve, false);
		mark(supersede, true);
		expect(this.floorThere(now)).toBeGreaterThanOrEqual(before);
		// Nothing is left to do, and nothing is sent only to be let go.
		expect(plan()).toEqual({ supersede: [], reprieve: [], upload: [] });
	}

	#goodHere(now: Date): RecoveryPoint[] {
		return this.local.filter(
			(one) => one.stack === stack && one.kind === "full" && isGood(one) && !isFromTheFuture(one, now),
		);
	}

	/** Good full recovery points, as far as the floor asks for them. */
	floorHere(now: Date): number {
		return Math.min(policy.minimumCopies, this.#goodHere(now).length);
	}

	/** Copies that the bucket may not let go. */
	floorThere(now: Date): number {
		const staying = this.bucket.filter(
			(copy) =>
				copy.stack === stack &&
				copy.kind === "full" &&
				isGoodCopy(copy) &&
				!copy.superseded &&
				new Date(copy.createdAt) <= now,
		);
		return Math.min(offsitePolicy.minimumCopies, staying.length);
	}

	#damage(which: number): void {
		const own = this.local.filter((one) => one.stack === stack);
		const victim = own[which % Math.max(1, own.length)];
		this.local = this.local.map((one) =>
			one === victim ? { ...one, verified: { ok: false, how: "content", at: "2026-01-01T00:00:00Z" } } : one,
		);
	}

	#damageCopy(which: number): void {
		const own = this.bucket.filter((one) => one.stack === stack);
		const victim = own[which % Math.max(1, own.length)];
		const checked = { ok: false, at: "2026-01-01T00:00:00Z", problem: "another hash" };
		this.bucket = this.bucket.map((one) => (one === victim ? { ...one, checked } : one));
	}
}

/** Somebody else's, older than anything is kept. */
function foreign(file: string, owner: string | undefined): RecoveryPoint {
	return {
		file,
		kind: "full",
		origin: owner === undefined ? "no-index" : "indexed",
		stack: owner,
		class: owner === undefined ? undefined : "daily",
		createdAt: new Date("2025-01-01T02:00:00Z"),
		size: 1,
		encrypted: false,
		verified: owner === undefined ? undefined : { ok: true, how: "content", at: "2025-01-01T02:00:00Z" },
	};
}

function copyOf(point: RecoveryPoint): OffsiteCopy {
	return {
		file: point.file,
		key: `persistent-stack/${point.stack}/${point.file}`,
		kind: point.kind,
		encrypted: false,
		stack: point.stack,
		class: point.class,
		sha256: "0".repeat(64),
		verified: "content",
		createdAt: point.createdAt.toISOString(),
		size: 1,
		superseded: false,
		entityTags: {},
	};
}

test("property: two years of gaps, failures and clock jumps never undercut the floor, here or offsite", () => {
	fc.assert(
		fc.property(life, (days) => {
			const world = new World();
			days.forEach((today, number) => {
				world.live(number, today);
			});
			const last = totalDays - 1;
			const now = new Date(firstDay + last * day);
			const ageOf = (createdAt: Date) => (now.getTime() - createdAt.getTime()) / day;

			expect(world.local.slice(0, 2).map(({ file }) => file)).toEqual([
				"full_backup_20250101_020000.tar.gz",
				"ours-before",
			]);
			expect(world.bucket[0]?.file).toBe("full_backup_20250101_020001.tar.gz");

			// After the quiet days: of every class what its days say, and nothing that is older.
			const own = world.local.filter((one) => one.stack === stack && !isFromTheFuture(one, now));
			for (const one of own) {
				const longest = policy.days[one.class as PointClass];
				expect(ageOf(one.createdAt)).toBeLessThanOrEqual(longest + waitingDays);
			}
			const quiet = (pointClass: PointClass) =>
				own.filter((one) => one.class === pointClass && world.quiet.has(one.file)).length;
			expect([quiet("daily"), quiet("weekly")]).toEqual(expectedHere(last));

			const copies = world.bucket.filter((one) => one.stack === stack && new Date(one.createdAt) <= now);
			for (const copy of copies) expect(ageOf(new Date(copy.createdAt))).toBeLessThanOrEqual(90);
			expect(copies.filter(({ file }) => world.quiet.has(file))).toHaveLength(91);
		}),
		{ numRuns: process.env.STACK_TEST_LONG ? 300 : 10, endOnFailure: true },
	);
}, 120_000);

/** How many daily and weekly ones the last days have made, by their classes' days. */
function expectedHere(last: number): [daily: number, weekly: number] {
	const isWeekly = (number: number) => number % 7 === 3;
	const count = (days: number, wanted: boolean) =>
		Array.from({ length: days + 1 }, (_, ago) => last - ago).filter((number) => isWeekly(number) === wanted)
			.length;
	return [count(policy.days.daily, false), count(policy.days.weekly, true)];
}
