/** Which messages follow from what is wrong, and when: once, once a day, and at the end. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type Condition, findConditions, type Observed, unreadable } from "../../agent/alarms/conditions.ts";
import { type AlarmBody, advance, afterFailure, type LedgerPolicy } from "../../agent/alarms/ledger.ts";
import { retryTime } from "../../agent/scheduler.ts";
import { type AlarmFile, readAlarms } from "../../recovery/alarm-file.ts";
import type { RunRecord } from "../../recovery/status-file.ts";

const start = Date.parse("2026-03-01T00:00:00Z");
const at = (hours: number) => new Date(start + hours * 3_600_000);
const nothing = await readAlarms("/nowhere", "none");
const policy: LedgerPolicy = {
	stack: "prod",
	targets: new Set(["webhook", "ping"]),
	onSuccess: true,
	reminderHours: 24,
};
const condition: Condition = {
	what: "it broke",
	why: "for want of a nail",
	mend: "a nail",
	aboutBackups: true,
};
const wrong = new Map([["backup-failed", condition]]);
const well = new Map<string, Condition>();

const good: RunRecord = {
	kind: "full",
	class: "daily",
	startedAt: "2026-03-01T02:00:00Z",
	endedAt: "2026-03-01T02:01:00Z",
	outcome: "success",
	file: "full_backup_20260301_020000.tar.gz",
};

const events = ({ outbox }: AlarmFile) =>
	outbox.map(({ target, good, body }) =>
		target === "webhook" ? (JSON.parse(body) as AlarmBody).event : good ? "ping" : "ping/fail",
	);

describe("messages", () => {
	test("say what, why and how to mend it when an alarm begins, for machines and for people", () => {
		const { outbox, open } = advance(nothing, wrong, undefined, policy, at(0));
		expect(open).toEqual({
			"backup-failed": { ...condition, since: at(0).toISOString(), toldAt: at(0).toISOString() },
		});
		expect(JSON.parse(outbox[0]?.body ?? "")).toEqual({
			version: 1,
			event: "raised",
			condition: "backup-failed",
			stack: "prod",
			at: at(0).toISOString(),
			since: at(0).toISOString(),
			what: "it broke",
			why: "for want of a nail",
			mend: "a nail",
			text: "ALARM: it broke\nWhy: for want of a nail\nWhat to do: a nail",
		});
		expect(outbox[1]).toMatchObject({ target: "ping", good: false, body: expect.stringMatching(/^ALARM/) });
	});

	test("come once when it begins, once a day while it goes on, and once when it ends", () => {
		let alarms = nothing;
		const told: [number, string[]][] = [];
		for (let hour = 0; hour <= 60; hour++) {
			alarms = advance(alarms, hour < 50 ? wrong : well, undefined, policy, at(hour));
			if (alarms.outbox.length > 0) told.push([hour, events(alarms)]);
			alarms = { ...alarms, outbox: [] };
		}
		expect(told).toEqual([
			[0, ["raised", "ping/fail"]],
			[24, ["reminder", "ping/fail"]],
			[48, ["reminder", "ping/fail"]],
			[50, ["resolved"]],
		]);
		expect(alarms.open).toEqual({});
	});

	test("tell of a good run once: the ping of every one, the webhook of scheduled ones where it is wanted", () => {
		const once = advance(nothing, well, good, policy, at(3));
		expect(events(once)).toEqual(["succeeded", "ping"]);
		expect(events(advance({ ...once, outbox: [] }, well, good, policy, at(4)))).toEqual([]);
		const manual = { ...good, class: "manual" as const };
		expect(events(advance(nothing, well, manual, policy, at(3)))).toEqual(["ping"]);
		expect(events(advance(nothing, well, good, { ...policy, onSuccess: false }, at(3)))).toEqual(["ping"]);
	});

	test("are not made for a target without an address, and a disk is no matter of the ping's", () => {
		const onlyPing = { ...policy, targets: new Set(["ping"] as const) };
		expect(events(advance(nothing, wrong, good, onlyPing, at(0)))).toEqual(["ping/fail", "ping"]);
		const disk = new Map([["disk:backups", { ...condition, aboutBackups: false }]]);
		expect(events(advance(nothing, disk, undefined, policy, at(0)))).toEqual(["raised"]);
	});

	test("stay few, whatever comes and goes: never two of a condition without a day or an end between", () => {
		fc.assert(
			fc.property(fc.array(fc.array(fc.constantFrom("a", "b", "c")), { maxLength: 120 }), (looks) => {
				let alarms = nothing;
				const last = new Map<string, { event: string; hour: number }>();
				looks.forEach((names, hour) => {
					alarms = advance(
						alarms,
						new Map(names.map((name) => [name, condition])),
						undefined,
						policy,
						at(hour),
					);
					for (const { target, body } of alarms.outbox) {
						if (target !== "webhook") continue;
						const { event, condition: name } = JSON.parse(body) as AlarmBody;
						const before = last.get(name ?? "");
						const expected = {
							raised: !before || before.event === "resolved",
							reminder: before !== undefined && before.event !== "resolved" && hour - before.hour === 24,
							resolved: before !== undefined && before.event !== "resolved",
							succeeded: false,
						}[event];
						expect([event, expected]).toEqual([event, true]);
						last.set(name ?? "", { event, hour });
					}
					alarms = { ...alarms, outbox: [] };
				});
			}),
			{ numRuns: 100 },
		);
	});

	test("that nobody takes are given up, and never pile up", () => {
		const message = { target: "webhook" as const, good: false, body: "", tries: 0, at: at(0).toISOString() };
		const again = afterFailure(message, [5, 30], at(0));
		expect(again).toMatchObject({ tries: 1, at: "2026-03-01T00:00:05.000Z" });
		expect(afterFailure({ ...message, tries: 1 }, [5, 30], at(0))).toMatchObject({ tries: 2 });
		expect(afterFailure({ ...message, tries: 2 }, [5, 30], at(0))).toBeUndefined();
		let alarms = nothing;
		for (let hour = 0; hour < 24 * 100; hour += 25)
			alarms = advance(alarms, wrong, undefined, policy, at(hour));
		expect(alarms.outbox).toHaveLength(50);
	});
});

describe("conditions", () => {
	const fine: Observed = { fresh: true, points: [], disks: [], volumes: {} };
	const disk = (usedPercent: number) => ({
		...fine,
		disks: [{ name: "backups", path: "/backups", size: 100e9, free: (100 - usedPercent) * 1e9, usedPercent }],
	});
	const limits = { diskPercent: 90, volumeGb: 100 };
	const names = (observed: Observed, open = {}) => [...findConditions("qa", observed, limits, open).keys()];

	test("are none where all is well", () => {
		expect(names(fine)).toEqual([]);
		expect(names({ ...disk(89), lastRun: good, volumes: { "backend-media": 99 * 2 ** 30 } })).toEqual([]);
	});

	test("name a failed run with its reason, but not one that its caller ended", () => {
		const failed = { ...good, outcome: "failed" as const, message: "no disk. Then ./docker-dev.sh backup" };
		expect(findConditions("qa", { ...fine, lastRun: failed }, limits, {}).get("backup-failed")).toEqual({
			what: "the daily backup of stack qa failed",
			why: "no disk. Then ./docker-dev.sh -s qa backup",
			mend: "mend what the reason names; a scheduled backup is tried again by itself, ./docker-dev.sh -s qa backup does so at once",
			aboutBackups: true,
		});
		expect(names({ ...fine, lastRun: { ...failed, interrupted: true } })).toEqual([]);
	});

	test("hold at the threshold, and end only some way below it", () => {
		const open = { "disk:backups": condition };
		expect([89.9, 90].map((used) => names(disk(used)))).toEqual([[], ["disk:backups"]]);
		expect([88, 87].map((used) => names(disk(used), open))).toEqual([["disk:backups"], []]);
	});

	test("of a volume that cannot be measured now stay as they were", () => {
		const name = "volume:backend-media";
		expect(names({ ...fine, volumes: { "backend-media": 100 * 2 ** 30 } })).toEqual([name]);
		expect(names(fine, { [name]: condition })).toEqual([name]);
		expect(names(fine)).toEqual([]);
	});

	test("tell an upload that failed from one that never was", () => {
		const offsite = {
			...{ destination: "s3://b/p/qa", ok: true, copies: 0, fullCopies: 0, newest: null, listedAt: null },
			...{ lastSuccess: null, lastPush: null, fresh: true, storedBytes: 0 },
		};
		const push = { outcome: "failed" as const, message: "the clock is wrong" };
		expect(names({ ...fine, offsite })).toEqual([]);
		expect(names({ ...fine, offsite: { ...offsite, fresh: false } })).toEqual(["offsite-overdue"]);
		expect(names({ ...fine, offsite: { ...offsite, lastPush: push as never } })).toEqual(["offsite-failed"]);
	});

	test("stay where the files cannot be looked at, which is one more", () => {
		const found = unreadable("qa", new Error("EACCES"), { "disk:backups": condition });
		expect([...found.keys()]).toEqual(["disk:backups", "backups-unreadable"]);
	});
});

test.each([
	[0, "2026-03-01T02:00:30Z", "2026-03-01T02:05:30.000Z"],
	[1, "2026-03-01T02:06:00Z", "2026-03-01T02:21:00.000Z"],
	[2, "2026-03-01T03:00:00Z", "2026-03-01T04:00:00.000Z"],
	[9, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00.000Z"],
	// The next planned run comes first.
	[9, "2026-03-02T01:30:00Z", undefined],
	[0, "2026-03-02T01:55:00Z", undefined],
])("after %i tries a run that failed at %s is tried again at %s", (tries, now, expected) => {
	const config = {
		retryMinutes: [5, 15, 60],
		schedules: { daily: "0 2 * * *", weekly: null },
		timeZone: "UTC",
	};
	expect(retryTime(config, "daily", tries, new Date(now))?.toISOString()).toBe(expected);
});
