import { describe, expect, test } from "@jest/globals";
import { findDifferences, withUnknown } from "../../../engine/local/differences.ts";
import type { Provider } from "../../../engine/local/provider.ts";
import { secret, unknownValue } from "../../../engine/local/values.ts";

const provider: Provider = {
	effect: (property) => (property === "name" ? "replace" : "update"),
	unordered: ["labels"],
	create: () => Promise.reject(new Error("not called")),
	read: () => Promise.reject(new Error("not called")),
	delete: () => Promise.reject(new Error("not called")),
};

const find = (before: object, after: object, replaceOnChanges: string[] = []) =>
	findDifferences(provider, before as never, after as never, replaceOnChanges);

describe("what differs", () => {
	test("is named with both values, and whether it replaces", () => {
		expect(find({ name: "a", size: 1, same: "x" }, { name: "b", size: 2, same: "x" })).toEqual([
			{ property: "name", before: "a", after: "b", replaces: true },
			{ property: "size", before: "1", after: "2", replaces: false },
		]);
	});

	test("is what came and what went, too", () => {
		expect(find({ a: "x" }, { b: "y" })).toEqual([
			{ property: "a", before: "x", after: undefined, replaces: false },
			{ property: "b", before: undefined, after: "y", replaces: false },
		]);
	});

	test("replaces where the program says that any change of it does", () => {
		expect(find({ size: 1 }, { size: 2 }, ["size"])).toMatchObject([{ replaces: true }]);
		expect(find({ size: 1 }, { size: 1 }, ["size"])).toEqual([]);
	});

	test("is shown without a secret's value, whether it was one, becomes one, or both", () => {
		for (const [before, after] of [
			[secret("hidden"), secret("other")],
			["hidden", secret("hidden2")],
			[secret("hidden"), "open"],
			[undefined, secret("hidden")],
		]) {
			const [difference] = find({ ...(before !== undefined && { a: before }) }, { a: after });
			expect(JSON.stringify(difference)).not.toMatch(/hidden|other|open/);
			expect(difference?.after).toBe("[secret]");
		}
	});

	test("is a value that is not known yet", () => {
		expect(find({ a: "x" }, { a: unknownValue })).toEqual([
			{ property: "a", before: "x", after: "[unknown]", replaces: false },
		]);
	});
});

describe("what does not differ", () => {
	test("is a list in another order, where order means nothing", () => {
		const [one, two] = [
			{ label: "a", value: "1" },
			{ label: "b", value: "2" },
		];
		expect(find({ labels: [one, two] }, { labels: [two, { value: "1", label: "a" }] })).toEqual([]);
		expect(find({ command: ["a", "b"] }, { command: ["b", "a"] })).toHaveLength(1);
		expect(find({ labels: [one, one] }, { labels: [one, two] })).toHaveLength(1);
	});

	test.each([
		["null", null],
		["false", false],
		["an empty list", []],
	])("is %s and nothing at all", (_name, value) => {
		expect(find({ a: value }, {})).toEqual([]);
		expect(find({}, { a: value })).toEqual([]);
	});

	test("is a value that has become secret, or is one no more", () => {
		expect(find({ a: "x" }, { a: secret("x") })).toEqual([]);
	});

	test("is not zero, an empty text or true", () => {
		for (const value of [0, "", true]) expect(find({ a: value }, {})).toHaveLength(1);
	});
});

test("a property that comes from something replaced counts as unknown", () => {
	expect(withUnknown({ a: 1, b: 2 }, ["b"])).toEqual({ a: 1, b: unknownValue });
});
