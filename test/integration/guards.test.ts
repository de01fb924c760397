/** The program's guards, against real objects of strangers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { programDirectory } from "../../components/directories.ts";
import { LocalEngine } from "../../engine/local/local-engine.ts";
import { loadStack } from "../../engine/stack-context.ts";
import { lockFile } from "../../recovery/lock.ts";
import { docker, objectsOf, removeLabelled, testLabel, waitFor } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

let stack: TestStack;

beforeEach(async () => {
	stack = await TestStack.create();
	await stack.recordImages();
});

afterEach(() => {
	stack.cleanUp();
	removeLabelled(`made-for=${stack.name}`);
});

/** Objects of a stranger, removed after the test. */
const strangers = () => ["--label", testLabel, "--label", `made-for=${stack.name}`];

async function refusedUp(): Promise<string> {
	const { code, stderr } = await stack.run(["up"], { mayFail: true });
	expect(code).toBe(1);
	return stderr;
}

/** A database as the old compose file made it: plain Docker, another password, rows in it. */
function oldDatabase(): { container: string; volume: string } {
	const volume = stack.volume("postgres-data");
	const container = `${stack.name}-old-db`;
	docker("volume", "create", ...strangers(), volume);
	const data = ["--volume", `${volume}:/var/lib/postgresql/data`];
	const variables = ["--env", "POSTGRES_PASSWORD=old", "--env", "POSTGRES_DB=backend_db"];
	docker(
		"run",
		"--detach",
		"--name",
		container,
		...strangers(),
		...data,
		...variables,
		stack.baseImage("postgres"),
	);
	waitFor(() => docker("exec", container, "pg_isready", "-h", "127.0.0.1", "-d", "backend_db"));
	docker(
		"exec",
		container,
		"psql",
		"-U",
		"postgres",
		"-d",
		"backend_db",
		"-c",
		"create table old_data as select 42 as answer",
	);
	return { container, volume };
}

test("a stranger's database is refused, then taken over when it is named under adopt", async () => {
	const { container, volume } = oldDatabase();
	docker("stop", container);
	const before = stack.volumeContent(volume);
	expect(await refusedUp()).toContain(volume);
	expect(stack.volumeContent(volume)).toBe(before);
	expect(objectsOf(stack.name)).toEqual([]);

	stack.configure({ adopt: [volume] });
	docker("start", container);
	expect(await refusedUp()).toContain(`docker stop ${container}`);
	expect(objectsOf(stack.name)).toEqual([]);

	docker("stop", container);
	await stack.run(["up"]);
	expect(stack.sql("select answer from old_data")).toBe("42");
	expect((await fetch(`${stack.url}/api/healthz`)).status).toBe(200);
});

test("a container of that name that is not ours is named and left alone", async () => {
	const name = `${stack.name}-redis`;
	const id = docker("run", "--detach", "--name", name, ...strangers(), stack.baseImage("redis"));
	expect(await refusedUp()).toContain(name);
	expect(docker("inspect", "--format", "{{.Id}} {{.State.Running}}", name)).toBe(`${id} true`);
	expect(objectsOf(stack.name)).toEqual([]);
});

test("the lock of a living owner refuses an up, also one that does not come through the command line", async () => {
	const file = lockFile(join(stack.directory, "backups"), stack.name);
	const script = `
		import { acquireLock } from ${JSON.stringify(join(programDirectory, "recovery/lock.ts"))};
		acquireLock(${JSON.stringify(file)}, "restore");
		console.log("held");
		setInterval(() => {}, 1000);
	`;
	const holder = spawn(process.execPath, ["--input-type=module", "--eval", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(holder.stdout, "data");
	const engine = new LocalEngine(loadStack(stack.directory, stack.name));

	const message = await refusedUp();
	expect(message).toContain(`process ${holder.pid}`);
	expect(message).toContain("restore");
	await expect(engine.preview()).rejects.toThrow(`process ${holder.pid}`);

	holder.kill("SIGKILL");
	await once(holder, "exit");
	await expect(engine.preview()).resolves.not.toHaveLength(0);
});

test("a stack that the other engine applied is refused until it is handed over", async () => {
	writeFileSync(join(stack.directory, ".stack", stack.name, "applied-by"), "pulumi\n");
	const { code, stderr } = await stack.run(["--engine", "local", "up"], { mayFail: true });
	expect(code).toBe(1);
	expect(stderr).toContain("pulumi");
	expect(objectsOf(stack.name)).toEqual([]);
});

test("a plan that would delete a data volume outside a destroy is refused", async () => {
	await stack.run(["up"]);
	const file = join(stack.directory, ".stack", stack.name, "state.json");
	const state = JSON.parse(readFileSync(file, "utf8")) as {
		deployment: { resources: Record<string, unknown>[] };
	};
	const volumes = state.deployment.resources.filter(
		(resource) => resource.type === "docker:index/volume:Volume",
	);
	// As if the catalogue had lost an entry: the state knows a volume that the program no longer declares.
	const orphan = `${stack.name}-ledger`;
	docker("volume", "create", ...strangers(), orphan);
	const urn = String(volumes[0]?.urn).replace(/[^-]*-[^-]*$/, "ledger");
	state.deployment.resources.push({ ...volumes[0], urn, id: orphan });
	writeFileSync(file, JSON.stringify(state));
	const before = stack.containerIds();

	expect(await refusedUp()).toContain("ledger");
	expect(docker("volume", "ls", "--quiet", "--filter", `name=${orphan}`)).toBe(orphan);
	expect(stack.containerIds()).toEqual(before);
});

test("containers that another directory applied are left alone", async () => {
	await stack.run(["up"]);
	const before = stack.containerIds();
	const other = join(stack.directory, "other");
	mkdirSync(other);
	for (const file of ["Pulumi.yaml", `Pulumi.${stack.name}.yaml`]) {
		const text = readFileSync(join(stack.directory, file), "utf8").replace("main: ", "main: ../");
		writeFileSync(join(other, file), text);
	}
	const { code, stderr } = await stack.run(["-C", other, "up"], { mayFail: true });
	expect(code).toBe(1);
	expect(stderr).toContain("another directory");
	expect(stack.containerIds()).toEqual(before);
});
