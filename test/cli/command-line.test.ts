/** The program as an operator starts it, with arguments that end before anything is touched. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";

const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
let project: string;

beforeAll(() => {
	project = mkdtempSync(join(tmpdir(), "command-line-"));
	writeFileSync(join(project, "Pulumi.yaml"), "name: persistent-stack\nruntime: nodejs\n");
	writeFileSync(join(project, "Pulumi.dev.yaml"), "config: {}\n");
	writeFileSync(join(project, "Pulumi.wrong.yaml"), "config:\n  persistent-stack:port: eighty\n");
});
afterAll(() => rmSync(project, { recursive: true }));

function stack(args: string[], environment: Record<string, string> = {}) {
	const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
		cwd: project,
		encoding: "utf8",
		env: { PATH: process.env.PATH, HOME: project, ...environment },
	});
	return { code: status, stdout, stderr };
}

test("without a verb the help goes to stderr, with exit code 2", () => {
	const { code, stdout, stderr } = stack([]);
	expect([code, stdout]).toEqual([2, ""]);
	expect(stderr).toContain("Usage: stack");
});

test("--help and help VERB are results, with exit code 0", () => {
	expect(stack(["--help"])).toMatchObject({
		code: 0,
		stderr: "",
		stdout: expect.stringContaining("Exit codes:"),
	});
	expect(stack(["help", "exec"])).toMatchObject({
		code: 0,
		stdout: expect.stringContaining("Usage: stack exec"),
	});
	expect(stack(["--version"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
});

test.each([
	[["volume"], "unknown command 'volume'", "Did you mean volumes?"],
	[["up", "--force"], "unknown option '--force'", "./docker-dev.sh up --help"],
	[["exec", "db"], "missing required argument 'command'", "./docker-dev.sh exec --help"],
	[["--engine", "other", "up"], "Allowed choices are local, pulumi", "--help"],
	[["stop", "database"], "there is no service database", "db, redis, backend, frontend, proxy"],
	[["exec", "cache", "ls"], "there is no service cache", "db, redis, backend, frontend, proxy"],
	[["start", "--timeout", "soon"], "--timeout soon is not a number of seconds", "--timeout 120"],
	[["logs", "--tail", "few"], "--tail few is not a number of lines", "--tail 100"],
	[["rebuild", "db"], "db has no image that is built here", "Pulumi.dev.yaml"],
	[["-s", "qa", "status"], "there is no stack qa", "use one of: dev, wrong"],
	[["-s", "../dev", "status"], '"../dev" is not a stack\'s name', "such as dev"],
	[["-C", "/nowhere", "status"], "there is no Pulumi.yaml in /nowhere", "Pulumi.yaml"],
	[["-s", "wrong", "volumes"], 'port = "eighty"', "write a port from 1 to 65535"],
	[["completion", "csh"], "there is no completion for csh", "bash, zsh, fish"],
])("%j ends with exit code 2, the reason and the fix", (args, reason, fix) => {
	const { code, stdout, stderr } = stack(args);
	expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
	expect(stderr).toContain(reason);
	expect(stderr).toContain(fix);
	expect(stderr).not.toMatch(/\n\s+at /);
});

test("with --json an error is a document on stdout", () => {
	const { code, stdout } = stack(["--json", "stop", "database"]);
	expect(code).toBe(2);
	expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, stack: "dev", error: { exitCode: 2 } });
});

test("with --debug an error has its stack trace", () => {
	expect(stack(["--debug", "stop", "database"]).stderr).toMatch(/\n\s+at /);
});

test("a Docker host elsewhere is refused by verbs that work on this one", () => {
	const { code, stderr } = stack(["volumes"], { DOCKER_HOST: "ssh://operator@elsewhere" });
	expect(code).toBe(2);
	expect(stderr).toContain("Docker is at ssh://operator@elsewhere");
});

test("a Docker that does not answer leads to exit code 5", () => {
	const { code, stderr } = stack(["status"], { DOCKER_HOST: `unix://${project}/none.sock` });
	expect(code).toBe(5);
	expect(stderr).toContain("Docker does not answer");
});

test("no docker command leads to exit code 5", () => {
	expect(stack(["status"], { PATH: project })).toMatchObject({
		code: 5,
		stderr: expect.stringContaining("no docker command"),
	});
});
