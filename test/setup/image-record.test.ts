import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readRecord, recordFile, writeRecord } from "../../cli/setup/image-record.ts";
import { imagesOf } from "../../cli/setup/images.ts";

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "image-record-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("before the first up nothing is recorded", () => {
	expect(readRecord(directory)).toBeUndefined();
});

test("a record is read back as it was written, from a file of its owner alone, with nothing left beside it", () => {
	const stack = join(directory, "dev");
	const record = {
		schemaVersion: 1,
		source: "stand-in",
		images: imagesOf("stand-in"),
		caImage: "a:b",
	} as const;
	writeRecord(stack, record);
	expect(readRecord(stack)).toEqual(record);
	expect(statSync(recordFile(stack)).mode & 0o777).toBe(0o600);
	expect(statSync(stack).mode & 0o777).toBe(0o700);
	expect(readdirSync(stack)).toEqual(["images.json"]);
});

test.each([
	["text that is no JSON", "{"],
	["another schema version", '{"schemaVersion":2,"source":"official","images":{}}'],
	["a record that lacks an image", '{"schemaVersion":1,"source":"official","images":{"redis":"redis:8"}}'],
	["an unknown source", JSON.stringify({ schemaVersion: 1, source: "mirror", images: imagesOf("official") })],
])("%s is refused and left as it is, never replaced by a guess", (_, text) => {
	writeFileSync(recordFile(directory), text);
	expect(() => readRecord(directory)).toThrow(/it was left as it is/);
	expect(readFileSync(recordFile(directory), "utf8")).toBe(text);
});
