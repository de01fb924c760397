import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
	canonical,
	containsSecret,
	containsUnknown,
	isSecret,
	plain,
	printable,
	secret,
	transform,
	unknownValue,
	type Value,
} from "../../../engine/local/values.ts";

const deep: Value = { a: [1, { b: secret({ user: "me", words: [secret("hidden")] }) }], c: null };

describe("secrets", () => {
	test("carry the mark of Pulumi's protocol", () => {
		expect(secret("x")).toEqual({
			"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
			value: "x",
		});
		expect(isSecret(secret("x"))).toBe(true);
		expect(isSecret({ value: "x" })).toBe(false);
		expect(isSecret({ "4dabf18193072939515e22adb298388d": "another mark", value: "x" })).toBe(false);
	});

	test("are found however deep they are, and taken out with those inside them", () => {
		expect(containsSecret(deep)).toBe(true);
		expect(plain(deep)).toEqual({ a: [1, { b: { user: "me", words: ["hidden"] } }], c: null });
		expect(containsSecret(plain(deep))).toBe(false);
		expect(containsSecret(undefined)).toBe(false);
	});

	test("are never printed", () => {
		expect(printable(deep)).not.toMatch(/me|hidden/);
		expect(printable(secret("hidden"))).toBe("[secret]");
		expect(printable({ a: secret("hidden") })).toBe('{"a":"[secret]"}');
	});
});

describe("unknown values", () => {
	test("are found however deep they are, also inside a secret", () => {
		expect(containsUnknown({ a: [secret(unknownValue)] })).toBe(true);
		expect(containsUnknown({ a: ["known"] })).toBe(false);
		expect(containsUnknown(undefined)).toBe(false);
	});

	test("are printed as such, and text is printed as it is", () => {
		expect(printable({ a: unknownValue })).toBe('{"a":"[unknown]"}');
		expect(printable("text")).toBe("text");
		expect(printable(5)).toBe("5");
		expect(printable(null)).toBeUndefined();
		expect(printable(undefined)).toBeUndefined();
	});
});

describe("the canonical text", () => {
	test("does not depend on the order of keys, and does on the order of lists", () => {
		expect(canonical({ a: 1, b: { c: 2, d: 3 } })).toBe(canonical({ b: { d: 3, c: 2 }, a: 1 }));
		expect(canonical([1, 2])).not.toBe(canonical([2, 1]));
	});

	test("takes a key with null for one that is absent, as the protocol does", () => {
		expect(canonical({ a: null, b: 1 })).toBe(canonical({ b: 1 }));
		expect(canonical({ a: "null" })).not.toBe(canonical({}));
	});

	test("tells numbers, texts and booleans apart", () => {
		const texts = [1, "1", true, "true", null, "null", [], {}, ""].map((value) => canonical(value as Value));
		expect(new Set(texts).size).toBe(texts.length);
	});

	const values = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Value>;

	test("of two values is the same only where they mean the same", () => {
		const withoutNulls = (value: unknown): unknown =>
			value !== null && typeof value === "object" && !Array.isArray(value)
				? Object.fromEntries(
						Object.entries(value)
							.filter(([, item]) => item !== null)
							.map(([key, item]) => [key, withoutNulls(item)]),
					)
				: Array.isArray(value)
					? value.map(withoutNulls)
					: value;
		fc.assert(
			fc.property(values, (value) => {
				expect(JSON.parse(canonical(value))).toEqual(JSON.parse(JSON.stringify(withoutNulls(value))));
			}),
		);
	});

	test("is not changed by a transformation that changes nothing", () => {
		fc.assert(
			fc.property(values, (value) => {
				expect(canonical(transform(value, () => undefined))).toBe(canonical(value));
			}),
		);
	});
});
