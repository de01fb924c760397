import { expect, test } from "@jest/globals";
import fc from "fast-check";
import {
	freshStamp,
	instantOf,
	NameTakenError,
	parsePointName,
	pointFileName,
	stampOf,
} from "../../recovery/names.ts";

test("names are the specification's", () => {
	expect(
		pointFileName({ kind: "full", stamp: "20251025_143022", compression: "gzip", encrypted: false }),
	).toBe("full_backup_20251025_143022.tar.gz");
	expect(pointFileName({ kind: "database", stamp: "20251025_143022", encrypted: false })).toBe(
		"db_backup_20251025_143022.sql",
	);
});

test("a name is read back as it was written, and any other file has no meaning", () => {
	const kinds = fc.record({
		kind: fc.constantFrom("full" as const, "database" as const),
		compression: fc.constantFrom("gzip" as const, "zstd" as const),
		encrypted: fc.boolean(),
		time: fc.date({ min: new Date("2000-01-01"), max: new Date("2099-12-31"), noInvalidDate: true }),
	});
	fc.assert(
		fc.property(kinds, ({ kind, compression, encrypted, time }) => {
			const name = {
				kind,
				stamp: stampOf(time, "UTC"),
				compression: kind === "full" ? compression : undefined,
				encrypted,
			};
			expect(parsePointName(pointFileName(name))).toEqual(name);
		}),
	);
	for (const file of [
		"full_backup_20251399_143022.tar.gz",
		"xfull_backup_20251025_143022.tar.gz",
		"full_backup_20251025_143022.tar.gz.json",
		"latest.tar.gz",
		"media_backup_20251025_143022.tar.gz",
		"full_backup_20251025_143022.tar.gz.part",
	]) {
		expect(parsePointName(file)).toBeUndefined();
	}
});

test("a stamp means the time of its time zone, through clock changes", () => {
	expect(stampOf(new Date("2026-07-01T00:30:00Z"), "Europe/Berlin")).toBe("20260701_023000");
	expect(instantOf("20260701_023000", "Europe/Berlin").toISOString()).toBe("2026-07-01T00:30:00.000Z");
	expect(instantOf("20261025_023000", "Europe/Berlin").toISOString()).toBe("2026-10-25T00:30:00.000Z");
	const zones = fc.constantFrom(
		"UTC",
		"Europe/Berlin",
		"America/New_York",
		"Asia/Kolkata",
		"Australia/Lord_Howe",
	);
	const times = fc.date({ min: new Date("2020-01-01"), max: new Date("2030-01-01"), noInvalidDate: true });
	fc.assert(
		fc.property(zones, times, (zone, time) => {
			const stamp = stampOf(time, zone);
			expect(stampOf(instantOf(stamp, zone), zone)).toBe(stamp);
		}),
	);
});

test("a second run in one second is refused", () => {
	const now = new Date("2026-01-01T00:00:00Z");
	expect(freshStamp(now, "UTC", ["full_backup_20251231_235959.tar.gz"])).toBe("20260101_000000");
	expect(() => freshStamp(now, "UTC", ["db_backup_20260101_000000.sql"])).toThrow(NameTakenError);
	expect(() => freshStamp(now, "UTC", [".partial-test-20260101_000000"])).toThrow(/20260101_000000/);
});
