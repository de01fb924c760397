import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { programDirectory } from "../../../components/directories.ts";
import { generate, generatedParts, replacePart } from "../../../docs/generate.ts";

test.each(["Pulumi.yaml", "README.md"])("%s says what the tables say; else run `npm run docs`", (file) => {
	expect(readFileSync(join(programDirectory, file), "utf8")).toBe(generate().get(file));
});

test("settings, volumes, verbs and the typed block are generated, and each into one file", () => {
	expect(generatedParts.map(({ file, name }) => `${file} ${name}`).sort()).toEqual([
		"Pulumi.yaml config",
		"README.md settings",
		"README.md verbs",
		"README.md volumes",
	]);
});

const page = "before\n<!-- generated:a -->\nold\n<!-- /generated:a -->\nafter\n";

test("only what stands between the markers is replaced, and doing it twice changes nothing", () => {
	const once = replacePart("x.md", page, "a", "new $& $1\n");
	expect(once).toBe("before\n<!-- generated:a -->\nnew $& $1\n<!-- /generated:a -->\nafter\n");
	expect(replacePart("x.md", once, "a", "new $& $1\n")).toBe(once);
});

test("markers may be comments of the file's own kind", () => {
	const yaml = "name: x\n# Made. <!-- generated:a -->\n# <!-- /generated:a -->\n";
	expect(replacePart("x.yaml", yaml, "a", "b: 1")).toBe(
		"name: x\n# Made. <!-- generated:a -->\nb: 1\n# <!-- /generated:a -->\n",
	);
});

test.each([
	["no", "nothing here\n"],
	["two", page + page],
	["unclosed", "<!-- generated:a -->\nold\n"],
])("a file with %s markers is refused and named", (_how, text) => {
	expect(() => replacePart("x.md", text, "a", "new")).toThrow(/^x\.md holds \d parts between/);
});
