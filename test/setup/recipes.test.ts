import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { missingEntries } from "../../cli/setup/complete-lock.mjs";
import { imageNames, officialImages } from "../../images/official.ts";
import { standInTag } from "../../images/stand-in/recipes.ts";

const major = (image: string) => /:(\d+)/.exec(image)?.[1];

test("every stand-in's name says what it is and of which version, and ends in a hash of its recipe", () => {
	for (const name of imageNames) {
		expect(standInTag(name)).toMatch(new RegExp(`^persistent-stack/stand-in-${name}:[0-9.]+-[0-9a-f]{12}$`));
	}
	expect(new Set(imageNames.map((name) => standInTag(name).slice(-12))).size).toBe(imageNames.length);
});

test("a stand-in has the major version of the official image that it stands in for", () => {
	for (const name of imageNames) expect(major(standInTag(name))).toBe(major(officialImages[name]));
});

test("official images are pinned to a full version and a Debian release", () => {
	for (const image of Object.values(officialImages))
		expect(image).toMatch(/^[a-z]+:\d+\.\d+(\.\d+)?-.*bookworm/);
});

test("PostgreSQL stays on the major version whose data directory is the spec's mount path", () => {
	expect(major(officialImages.postgres)).toBe("17");
});

test("the lock file has every optional package, so that npm ci takes it on a clean checkout", () => {
	const lock = JSON.parse(readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8"));
	// If this fails: node cli/setup/complete-lock.mjs
	expect(Object.keys(missingEntries(lock.packages))).toEqual([]);
});

test("a package that only other platforms need is completed with its platform", () => {
	const packages = {
		"node_modules/tool": {
			dev: true,
			optionalDependencies: { "@t/linux-x64-musl": "1.0.0", "@t/win32-arm64": "1.0.0" },
		},
		"node_modules/tool/node_modules/@t/win32-arm64": { version: "1.0.0" },
	};
	expect(missingEntries(packages)).toEqual({
		"node_modules/@t/linux-x64-musl": {
			version: "1.0.0",
			cpu: ["x64"],
			libc: ["musl"],
			os: ["linux"],
			dev: true,
			optional: true,
		},
	});
});
