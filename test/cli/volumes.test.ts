import { expect, test } from "@jest/globals";
import { formatSize, Output } from "../../cli/output.ts";
import { detailSection, listing, sizeSection } from "../../cli/verbs/volumes.ts";
import type { StackVolume } from "../../cli/volumes.ts";
import { volumeCatalogue } from "../../components/catalogue.ts";

const output = new Output({ color: false });
const all: StackVolume[] = volumeCatalogue.map((entry) => ({
	key: entry.key,
	entry,
	name: `app-${entry.key}`,
	found: { driver: "local", mountpoint: `/var/lib/docker/volumes/app-${entry.key}/_data` },
}));

test("the first section has the specification's heading, columns and rows", () => {
	const lines = listing(all, output).split("\n");
	expect(lines.slice(0, 3)).toEqual([
		"=== Volume information and disk usage ===",
		"",
		"INFO: Persistent volumes:",
	]);
	expect(lines[3]).toMatch(/^VOLUME NAME +DRIVER +MOUNTPOINT$/);
	expect(lines[4]).toMatch(
		/^app-postgres-data +local +\/var\/lib\/docker\/volumes\/app-postgres-data\/_data$/,
	);
	expect(lines.slice(4, 10).map((line) => line.split(" ")[0])).toEqual(all.map(({ name }) => name));
});

test("a size that was not measured is unknown and not zero, and a missing volume is missing", () => {
	const [postgres, redis, media] = all as [StackVolume, StackVolume, StackVolume];
	const some = [postgres, redis, { ...media, found: undefined }];
	expect(sizeSection(some, new Map([["app-postgres-data", 42 * 1024]]), output).trimEnd()).toBe(
		[
			"INFO: Volume sizes:",
			"  app-postgres-data: 42M",
			"  app-redis-data: unknown",
			"  app-backend-media: missing",
		].join("\n"),
	);
	expect(listing(some, output)).toMatch(/^app-backend-media +- +missing$/m);
});

test("the details are those of the catalogue", () => {
	const lines = detailSection(all, output).split("\n");
	expect(lines[0]).toBe("INFO: Volume details:");
	expect(lines[1]).toMatch(/^ {2}📊 app-postgres-data +- Database records \(PostgreSQL data\)$/);
	expect(lines[6]).toMatch(/^ {2}📝 app-proxy-logs +- Nginx access and error logs$/);
});

test.each([
	[0, "0"],
	[8, "8.0K"],
	[9.95, "10K"],
	[256, "256K"],
	[1023, "1023K"],
	[1024, "1.0M"],
	[1025, "1.1M"],
	[42 * 1024, "42M"],
	[10 * 1024 * 1024, "10G"],
	[3 * 1024 ** 4, "3072T"],
])("%d KiB is written as %s, as du -h does", (kibibytes, text) => {
	expect(formatSize(kibibytes)).toBe(text);
});
