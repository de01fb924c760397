// The launcher in a made-up project whose packages are this project's Node and nothing else.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";

const lock = '{"packages":{"":{},"node_modules/node":{"version":"24.0.0"}}}';
const source = join(import.meta.dirname, "../..");
let project: string;
const env = { ...process.env, NODE_OPTIONS: "" };
const launch = (...args: string[]) =>
	spawnSync(process.execPath, [join(project, "cli/stack.mjs"), ...args], { encoding: "utf8", env });

beforeEach(() => {
	project = mkdtempSync(join(tmpdir(), "launcher-"));
	mkdirSync(join(project, "cli"));
	mkdirSync(join(project, "node_modules/.bin"), { recursive: true });
	copyFileSync(join(source, "cli/stack.mjs"), join(project, "cli/stack.mjs"));
	copyFileSync(join(source, "docker-dev.sh"), join(project, "docker-dev.sh"));
	symlinkSync(process.execPath, join(project, "node_modules/.bin/node"));
	writeFileSync(join(project, "package-lock.json"), lock);
	writeFileSync(
		join(project, "cli/main.ts"),
		`const [verb, ...rest]: string[] = process.argv.slice(2);
		if (verb === "wait") { process.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1000); console.log("waiting"); }
		else if (verb === "die") process.kill(process.pid, "SIGKILL");
		else { console.log(JSON.stringify([verb, ...rest])); process.exitCode = Number(rest[0] ?? 0); }`,
	);
});
afterEach(() => rmSync(project, { recursive: true }));
const stampPackages = () => {
	const hash = createHash("sha256").update(lock).digest("hex");
	writeFileSync(join(project, "node_modules/.package-lock-hash"), hash);
};

test("arguments and exit code pass through, and stdout holds the result alone", () => {
	stampPackages();
	const result = launch("say", "3", "--json");
	expect([result.status, result.stdout, result.stderr]).toEqual([3, '["say","3","--json"]\n', ""]);
});

test("docker-dev.sh is the same program, from any directory", () => {
	stampPackages();
	const result = spawnSync(join(project, "docker-dev.sh"), ["say", "4"], { encoding: "utf8", env, cwd: "/" });
	expect([result.status, result.stdout]).toEqual([4, '["say","4"]\n']);
});

test("--run runs another file of the project", () => {
	stampPackages();
	writeFileSync(join(project, "other.ts"), "console.log(process.argv.slice(2).join() satisfies string);");
	expect(launch("--run", "other.ts", "a", "b").stdout).toBe("a,b\n");
});

test("packages that are not those of the lock file are refused under --no-install, with the command", () => {
	const result = launch("--no-install", "say");
	expect([result.status, result.stdout]).toEqual([1, ""]);
	expect(result.stderr).toMatch(/nothing was changed[\s\S]*npm ci/);
});

test("packages that were installed by hand are recognised and not installed again", () => {
	writeFileSync(join(project, "node_modules/.package-lock.json"), lock);
	expect(launch("--no-install", "say").status).toBe(0);
	rmSync(join(project, "node_modules/.package-lock.json"));
	expect(launch("--no-install", "say").status).toBe(0);
});

test("a lock file that is newer but the same means no installation", () => {
	stampPackages();
	utimesSync(join(project, "package-lock.json"), new Date(), new Date(Date.now() + 60_000));
	expect(launch("--no-install", "say").status).toBe(0);
});

test("a signal reaches the command line, and its exit code comes back", async () => {
	stampPackages();
	const child = spawn(process.execPath, [join(project, "cli/stack.mjs"), "wait"], { env });
	await new Promise((resolve) => child.stdout.once("data", resolve));
	child.kill("SIGTERM");
	expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(7);
});

test("npm run on the Node of the packages survives their renewal, which removes that Node", () => {
	const bin = join(project, "bin");
	mkdirSync(bin);
	const packages = join(project, "node_modules");
	rmSync(join(packages, ".bin", "node"));
	mkdirSync(join(packages, "node", "bin"), { recursive: true });
	const own = join(packages, "node", "bin", "node");
	copyFileSync(process.execPath, own);
	// As npm ci does: everything goes, and the package comes back without its binary.
	writeFileSync(
		join(bin, "npm"),
		`#!/bin/sh\nrm -rf node_modules; mkdir -p node_modules/.bin node_modules/node/bin\necho 'require("fs").symlinkSync(${JSON.stringify(process.execPath)}, "bin/node")' > node_modules/node/installArchSpecificPackage.js\n`,
		{ mode: 0o755 },
	);
	symlinkSync(process.execPath, join(bin, "node"));
	const result = spawnSync(own, [join(project, "cli/stack.mjs"), "say", "5"], {
		encoding: "utf8",
		env: { ...env, PATH: [bin, process.env.PATH].join(delimiter) },
	});
	expect([result.status, result.stdout]).toEqual([5, '["say","5"]\n']);
});
