import { describe, expect, test } from "@jest/globals";
import { parse } from "../../cli/parse.ts";
import { countText } from "../../cli/restore/check.ts";
import { readParts } from "../../cli/restore/choose.ts";
import { stepRequest } from "../../cli/restore/helper.ts";
import { usersOfTargets } from "../../cli/restore/writers.ts";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";

describe("the parts that are asked for", () => {
	test.each<[options: Record<string, string>, only: string[] | undefined, redis: string]>([
		[{}, undefined, "keep"],
		[{ redis: "clear" }, undefined, "clear"],
		[{ only: "database" }, ["database"], "keep"],
		[{ only: "static, media" }, ["media", "static"], "keep"],
		[{ only: "redis" }, ["redis"], "restore"],
		[{ only: "redis,database", redis: "clear" }, ["database", "redis"], "clear"],
	])("%j", (options, only, redis) => {
		expect(readParts(options)).toEqual({ only, redis });
	});

	test.each([[{ only: "database,data" }], [{ only: "" }], [{ only: "redis", redis: "keep" }]])(
		"%j is refused with exit code 2",
		(options) => {
			expect(() => readParts(options)).toThrow(expect.objectContaining({ exitCode: 2 }));
		},
	);
});

test("a word that --redis does not know is refused by the parser", () => {
	expect(() => parse(["restore", "--redis", "drop"])).toThrow(/Allowed choices are keep, restore, clear/);
});

test("only those are stopped who use what is replaced", () => {
	expect(usersOfTargets(["database"])).toEqual(["backend"]);
	expect(usersOfTargets(["static"])).toEqual(["backend", "proxy"]);
	expect(usersOfTargets(["database", "media", "static", "redis"])).toEqual(["redis", "backend", "proxy"]);
	expect(usersOfTargets(["database"], true)).toEqual(["db", "backend"]);
});

test("the database's files are in reach of a step only where another cluster takes their place", () => {
	const journal = { id: "0123abcd", targets: ["database", "media"] as RestoreTarget[] };
	expect(stepRequest(journal, "stage").targets).toEqual(["media", "database"]);
	for (const step of ["swap", "undo", "finish"] as const)
		expect([step, stepRequest(journal, step).targets]).toEqual([step, ["media"]]);
	const rebuild = { ...journal, rebuild: true };
	expect(stepRequest(rebuild, "rebuild").targets).toEqual(["database"]);
	expect(stepRequest(rebuild, "swap").targets).toEqual(["media"]);
	expect(stepRequest(rebuild, "undo").targets).toEqual(["media", "database"]);
});

test("what is in a backup is told in words, also where nobody has counted", () => {
	expect(countText({ rows: 1, tables: 1, files: { media: 2, static: 1 } })).toBe(
		"1 row in 1 table, 2 media files, 1 static file",
	);
	expect(countText({ rows: null, tables: null, files: {} })).toBe("not counted: it has no manifest");
});
