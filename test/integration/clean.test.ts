/** The clean verbs on a real stack: what comes back, what is refused, and what an end half way leaves. */
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { docker, objectsOf, testLabel } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up, and brought back.
jest.setTimeout(300_000);

let stack: TestStack;
let logs: string;
const confirmed = ["clean-all", "--confirm", "DELETE EVERYTHING"];

beforeAll(async () => {
	// The volumes then carry every protection that the engine knows.
	stack = await TestStack.create({ removalPolicy: "protect" });
	logs = join(stack.directory, "backend", `logs-${stack.name}`);
	await stack.run(["up"]);
	stack.sql("create table proof as select 1 as kept");
	redis("set proof kept");
});

afterAll(() => stack?.cleanUp());

function redis(command: string): string {
	return stack.inService("redis", `REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli ${command}`);
}

async function untilAnswering(): Promise<void> {
	for (let tries = 0; ; tries++) {
		const response = await fetch(`${stack.url}/api/healthz`).catch(() => undefined);
		if (response?.status === 200) return;
		if (tries > 300) throw new Error("waited a minute and a half for the application");
		await sleep(300);
	}
}

test("start recreates what clean-cache and clean-logs removed, protected volumes included", async () => {
	writeFileSync(join(logs, ".gitkeep"), "");
	writeFileSync(join(logs, "old.log"), "old\n");
	await stack.run(["clean-cache", "--yes"]);
	const { stdout } = await stack.run(["clean-logs", "--yes"]);
	expect(stdout).toContain(stack.volume("proxy-logs"));
	expect(readdirSync(logs)).toEqual([".gitkeep"]);
	for (const key of ["redis-data", "proxy-logs"] as const) {
		expect(objectsOf(stack.name)).not.toContain(`volume ${stack.volume(key)}`);
	}

	await stack.run(["start"]);
	expect(redis("get proof")).toBe("");
	expect(stack.sql("select kept from proof")).toBe("1");
	await untilAnswering();
	await stack.run(["preview", "--expect-no-changes"]);
});

test("a protection that was only edited away still holds", async () => {
	stack.configure({ removalPolicy: "remove" });
	const before = stack.containerIds();
	const { code, stderr } = await stack.run(confirmed, { mayFail: true });
	expect([code, stderr]).toEqual([1, expect.stringContaining("To lift the protection")]);
	expect(stack.containerIds()).toEqual(before);
	await stack.run(["up"]);
});

test("when the safety backup fails nothing is deleted, and the application answers", async () => {
	const before = objectsOf(stack.name);
	const backups = join(stack.directory, "backups");
	chmodSync(backups, 0o500);
	const { code, stderr } = await stack.run(confirmed, { mayFail: true });
	chmodSync(backups, 0o700);
	expect(code).not.toBe(0);
	expect(stderr).toContain("nothing was deleted");
	expect(objectsOf(stack.name)).toEqual(before);
	await untilAnswering();
	expect(stack.sql("select kept from proof")).toBe("1");
});

test("a stranger's volume in the place of one that is gone is not taken along", async () => {
	await stack.run(["clean-cache", "--yes"]);
	const name = stack.volume("redis-data");
	docker("volume", "create", "--label", testLabel, name);
	stack.inImage("redis", `${name}:/volume`, "echo precious > /volume/file");
	for (const args of [
		[...confirmed, "--no-safety-backup"],
		["destroy", "--yes"],
	]) {
		const { code, stderr } = await stack.run(args, { mayFail: true });
		expect([code, stderr]).toEqual([1, expect.stringContaining(`${name} would be removed`)]);
	}
	expect(stack.inImage("redis", `${name}:/volume:ro`, "cat /volume/file")).toBe("precious");
	docker("volume", "rm", name);
});

test("clean-all that is killed half way is finished by the same command, and the backups stay", async () => {
	await stack.run(["start"]);
	await stack.run(["backup"]);
	const backups = readdirSync(join(stack.directory, "backups")).filter((file) => file.startsWith("full_"));
	const { child, ended } = stack.start([...confirmed, "--no-safety-backup"]);
	const containers = () => objectsOf(stack.name).filter((object) => object.startsWith("container"));
	while (containers().length === 6) await sleep(20);
	process.kill(-(child.pid ?? 0), "SIGKILL");
	await ended;
	expect(objectsOf(stack.name)).toContain(`volume ${stack.volume("postgres-data")}`);

	const { stdout } = await stack.run([...confirmed, "--no-safety-backup"]);
	expect(objectsOf(stack.name)).toEqual([]);
	expect(stdout).toContain(`restore ${backups[0]}`);
	for (const file of backups) expect(existsSync(join(stack.directory, "backups", file))).toBe(true);
});
