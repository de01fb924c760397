/** Bad input: a clear error, the documented exit code, and everything as it was. */
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { docker, objectsOf } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

describe("before a stack exists", () => {
	let stack: TestStack;
	beforeAll(async () => {
		stack = await TestStack.create();
	});
	afterAll(() => stack.cleanUp());

	test("wrong settings are all named at once, with value and fix, and exit code 2", async () => {
		stack.configure({ port: 99_999, removalPolicy: "keep", adopt: "x", colour: "red" });
		const { code, stderr } = await stack.run(["up"], { mayFail: true });
		expect(code).toBe(2);
		for (const part of ["port", "99999", "removalPolicy", "keep", "adopt", "colour", "red"]) {
			expect(stderr).toContain(part);
		}
		stack.configure({ port: stack.port, removalPolicy: "remove", adopt: undefined, colour: undefined });
	});

	test("a Docker Engine that does not answer is said, with exit code 5", async () => {
		const environment = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };
		for (const verb of ["up", "status", "volumes"]) {
			const { code, stderr } = await stack.run(["--no-install", verb], { environment, mayFail: true });
			expect([verb, code]).toEqual([verb, 5]);
			expect(stderr).toContain("Docker");
		}
	});

	test("an unknown verb, service or stack is exit code 2 or 1 and names what there is", async () => {
		expect((await stack.run(["destory"], { mayFail: true })).code).toBe(2);
		const service = await stack.run(["stop", "database"], { mayFail: true });
		expect(service.code).toBe(2);
		expect(service.stderr).toContain("redis");
		expect((await stack.run(["-s", "nowhere", "status"], { mayFail: true })).code).not.toBe(0);
	});

	test("a port that something else has is named before anything is made", async () => {
		const server = createServer().listen(stack.port, "127.0.0.1");
		const { code, stderr } = await stack.run(["up"], { mayFail: true });
		server.close();
		expect(code).toBe(1);
		expect(stderr).toContain(String(stack.port));
		expect(objectsOf(stack.name)).toEqual([]);
	});

	test.each([
		["Ctrl-C", "SIGINT", 130],
		["a kill", "SIGKILL", 128],
	] as const)("%s in the middle of an up, and the next up completes it", async (_name, signal, expected) => {
		const { child, ended } = stack.start(["up"]);
		while (!objectsOf(stack.name).some((object) => object.startsWith("container"))) await sleep(100);
		await sleep(500);
		// What a terminal does: the whole process group gets it.
		process.kill(-(child.pid ?? 0), signal);
		expect((await ended).code).toBe(expected);
		await stack.run(["up"]);
		expect((await fetch(`${stack.url}/api/healthz`)).status).toBe(200);
		await stack.run(["destroy", "--yes"]);
		expect(objectsOf(stack.name)).toEqual([]);
	});
});

describe("with a stack that serves", () => {
	let stack: TestStack;
	let backend: string;
	beforeAll(async () => {
		stack = await TestStack.create();
		await stack.run(["up"]);
		backend = backendId();
	});
	afterAll(() => stack.cleanUp());

	const backendId = () => docker("inspect", "--format", "{{.Id}}", `${stack.name}-backend`);

	async function oldBackendServes(): Promise<void> {
		expect(backendId()).toBe(backend);
		expect((await fetch(`${stack.url}/api/healthz`)).status).toBe(200);
	}

	test("a preview of what is as it should be warns of nothing", async () => {
		const { stdout, stderr } = await stack.run(["preview"]);
		expect(stdout).toContain("No changes");
		expect(`${stdout}${stderr}`).not.toContain("warning");
	});

	test("a restore of the latest backup says which one it is that is damaged, and restores nothing", async () => {
		const { file } = JSON.parse((await stack.run(["backup", "--json"])).stdout) as { file: string };
		const path = join(stack.directory, "backups", file);
		const bytes = readFileSync(path);
		const middle = bytes.length >> 1;
		bytes[middle] = (bytes[middle] as number) ^ 0xff;
		writeFileSync(path, bytes);
		expect((await stack.run(["backup", "verify", file], { mayFail: true })).code).toBe(7);
		const { code, stderr } = await stack.run(["restore", "--latest", "--yes"], { mayFail: true });
		expect(code).toBe(7);
		expect(stderr).toMatch(new RegExp(`${file}, is damaged: .*nothing was changed`));
		await oldBackendServes();
	});

	test("an image that does not build fails with its log, and the old backend keeps serving", async () => {
		const dockerfile = join(stack.directory, "Broken.Dockerfile");
		writeFileSync(dockerfile, "ARG PYTHON_IMAGE\nFROM $PYTHON_IMAGE\nRUN echo it-breaks-here && false\n");
		stack.configure({ backendDockerfile: "Broken.Dockerfile" });
		const { code, stderr } = await stack.run(["up"], { mayFail: true });
		expect(code).toBe(1);
		expect(stderr).toContain("it-breaks-here");
		await oldBackendServes();
		stack.configure({ backendDockerfile: undefined });
	});

	test("a migration that fails leaves the old backend serving and the database as it was", async () => {
		const directory = join(stack.directory, "app/backend/documents/migrations");
		const migration = join(directory, "0099_fails.py");
		writeFileSync(
			migration,
			`from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("documents", "0001_initial")]
    operations = [
        migrations.RunSQL("create table half_done (x int)"),
        migrations.RunSQL("select no_such_function()"),
    ]
`,
		);
		const { code, stderr } = await stack.run(["up"], { mayFail: true });
		expect(code).toBe(1);
		expect(stderr).toContain("no_such_function");
		expect(stack.sql("select to_regclass('half_done') is null")).toBe("t");
		await oldBackendServes();
	});
});
