/**
 * Verbs that work on containers, against a real Docker Engine and containers that only look like a stack's:
 * labels are what these verbs go by. Whole stacks are tested elsewhere.
 */
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { acquireLock, lockFile } from "../../recovery/lock.ts";
import { docker, removeLabelled } from "../support/docker.ts";

jest.setTimeout(60_000);

const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const name = `clitest-${randomBytes(3).toString("hex")}`;
const owner = `persistent-stack.owner=persistent-stack/${name}`;
let project: string;
let image: string;

beforeAll(() => {
	project = mkdtempSync(join(tmpdir(), `${name}-`));
	writeFileSync(join(project, "Pulumi.yaml"), "name: persistent-stack\nruntime: nodejs\n");
	writeFileSync(join(project, `Pulumi.${name}.yaml`), "config: {}\n");
	const [standIn] = docker("images", "--quiet", "--filter", "label=persistent-stack.stand-in=redis").split(
		"\n",
	);
	image = standIn || "redis:8";
	service("db", "while :; do sleep 1; done");
	service("redis", "echo first; sleep 0.1; echo second >&2; while :; do sleep 1; done", [
		...["--health-cmd", "test ! -e /tmp/ill", "--health-interval", "1s", "--health-retries", "1"],
	]);
	service("backend", "sleep 0.5; echo third; while :; do sleep 1; done");
	docker(
		"volume",
		"create",
		"--label",
		owner,
		"--label",
		"persistent-stack.volume=redis-data",
		`${name}-kept`,
	);
});
afterAll(() => {
	removeLabelled(owner);
	rmSync(project, { recursive: true, force: true });
});

function service(role: string, script: string, options: string[] = []): void {
	const labels = ["--label", owner, "--label", `persistent-stack.service=${role}`];
	const container = ["--name", `${name}-${role}`, "--init", "--entrypoint", "sh", ...labels, ...options];
	docker("run", "--detach", ...container, image, "-c", script);
}

function stack(args: string[], input = "") {
	const options = { cwd: project, encoding: "utf8", input, maxBuffer: 1 << 27 } as const;
	const { status, stdout, stderr } = spawnSync(process.execPath, [main, "-s", name, ...args], options);
	return { code: status, stdout, stderr };
}

test("exec passes standard input, output and the exit code through", () => {
	const input = "line\n".repeat(1_000_000);
	expect(stack(["exec", "-T", "redis", "cat"], input).stdout === input).toBe(true);
	expect(stack(["exec", "db", "sh", "-c", "echo out; echo err >&2; exit 7"])).toEqual({
		code: 7,
		stdout: "out\n",
		stderr: "err\n",
	});
});

test("exec runs as the user that is named", () => {
	expect(stack(["exec", "-u", "1234:5678", "db", "sh", "-c", "id -u; id -g"]).stdout).toBe("1234\n5678\n");
});

test("exec that is terminated ends with 143", async () => {
	const child = spawn(
		process.execPath,
		[main, "-s", name, "exec", "-T", "db", "sh", "-c", "echo up; sleep 5"],
		{
			cwd: project,
		},
	);
	await new Promise((ready) => child.stdout.once("data", ready));
	child.kill("SIGTERM");
	expect(await new Promise((ended) => child.once("close", ended))).toBe(143);
});

test("a service without a container is an error that names the command that mends it", () => {
	const { code, stderr } = stack(["exec", "proxy", "true"]);
	expect(code).toBe(1);
	expect(stderr).toContain(`./docker-dev.sh -s ${name} start proxy`);
});

test("logs are merged by time, with the service before each line", () => {
	const lines = stack(["logs"]).stdout.trimEnd().split("\n");
	expect(lines).toEqual(["redis   | first", "redis   | second", "backend | third"]);
	expect(stack(["logs", "backend"]).stdout).toBe("third\n");
	expect(JSON.parse(stack(["logs", "backend", "--json"]).stdout)).toMatchObject({
		service: "backend",
		line: "third",
	});
});

test("volumes are found by label whatever their name, and the others are missing", () => {
	const { code, stdout } = stack(["volumes", "--json"]);
	const { volumes } = JSON.parse(stdout) as {
		volumes: { key: string; name: string; sizeBytes: number | null }[];
	};
	expect(code).toBe(0);
	expect(volumes.find(({ key }) => key === "redis-data")).toMatchObject({
		name: `${name}-kept`,
		present: true,
	});
	expect(volumes.find(({ key }) => key === "redis-data")?.sizeBytes).toBeGreaterThan(0);
	expect(volumes.find(({ key }) => key === "postgres-data")).toMatchObject({
		present: false,
		sizeBytes: null,
	});
});

test("stop stops in reverse order and keeps the containers; start brings them back", () => {
	const stopped = stack(["stop", "--json"]);
	expect(JSON.parse(stopped.stdout)).toMatchObject({ stopped: ["backend", "redis", "db"] });
	expect(docker("ps", "--all", "--quiet", "--filter", `label=${owner}`).split("\n")).toHaveLength(3);
	expect(stack(["exec", "db", "true"])).toMatchObject({
		code: 1,
		stderr: expect.stringContaining("start db"),
	});
	const started = stack(["start", "db", "redis", "backend", "--json"]);
	expect(started.code).toBe(0);
	expect(JSON.parse(started.stdout)).toMatchObject({
		started: ["db", "redis", "backend"],
		healthy: ["db", "redis", "backend"],
	});
});

test("a service that does not get healthy ends start with 6 and its last lines", () => {
	docker("exec", `${name}-redis`, "touch", "/tmp/ill");
	const { code, stderr } = stack(["restart", "redis"]);
	docker("exec", `${name}-redis`, "rm", "/tmp/ill");
	expect(code).toBe(6);
	expect(stderr).toMatch(/redis \(container .+\) is unhealthy after .+\n {4}first\n {4}second/);
});

test("a service that was ill before the start has the time to recover", async () => {
	docker("exec", `${name}-redis`, "touch", "/tmp/ill");
	const isIll = () =>
		docker("inspect", "--format", "{{.State.Health.Status}}", `${name}-redis`) === "unhealthy";
	while (!isIll()) await sleep(200);
	docker("exec", "--detach", `${name}-redis`, "sh", "-c", "sleep 3; rm /tmp/ill");
	expect(stack(["start", "redis"])).toMatchObject({ code: 0, stdout: expect.stringContaining("healthy") });
});

test("status exits with 0 whatever the state, and with 6 where it is asked to judge", () => {
	const { code, stdout } = stack(["status", "--json"]);
	expect(code).toBe(0);
	expect(JSON.parse(stdout)).toMatchObject({ exists: true, healthy: false, services: { length: 6 } });
	expect(stack(["status", "--exit-code"]).code).toBe(6);
});

test("while somebody holds the lock nothing is stopped, and the holder is named", () => {
	const lock = acquireLock(lockFile(join(project, "backups"), name), "backup");
	const { code, stderr } = stack(["stop", "db"]);
	lock.release();
	expect(code).toBe(1);
	expect(stderr).toContain('"backup"');
	expect(docker("inspect", "--format", "{{.State.Running}}", `${name}-db`)).toBe("true");
});

test("makemigrations is refused where there is no source to write into", () => {
	const { code, stderr } = stack(["backend-makemigrations"]);
	expect(code).toBe(1);
	expect(stderr).toContain("mode is production, where the source is in the image");
});

test("destroy leaves alone what no engine has made, and says so", () => {
	const { code, stdout } = stack(["destroy"], "yes\n");
	expect([code, stdout]).toEqual([0, expect.stringContaining("Nothing to remove")]);
	expect(docker("ps", "--all", "--quiet", "--filter", `label=${owner}`).split("\n")).toHaveLength(3);
});
