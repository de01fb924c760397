/** Nothing is lost by accident: edits, second ups and destroys, checked by content on real containers. */
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { docker, objectsOf, waitFor } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

let stack: TestStack;
let prefix: string;

beforeAll(async () => {
	stack = await TestStack.create();
	prefix = stack.name;
	await stack.run(["up"]);
	stack.sql("create table proof as select i, md5(i::text) as hash from generate_series(1, 5000) i");
	stack.inService(
		"backend",
		"mkdir -p /app/media/proof && head -c 100000 /dev/urandom > /app/media/proof/file.bin",
	);
	redis("set proof kept");
});

afterAll(() => stack?.cleanUp());

function redis(command: string): string {
	return stack.inService(
		"redis",
		`REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli ${command}`,
		prefix,
	);
}

/** What the data volumes hold, as their services and the bare files tell it. */
function content() {
	return {
		rows: stack.sql("select count(*), md5(string_agg(hash, '' order by i)) from proof", prefix),
		media: stack.volumeContent(stack.volume("backend-media")),
		redis: redis("get proof"),
		cluster: stack.sql("select system_identifier from pg_control_system()", prefix),
	};
}

function preciousVolumes(): string[] {
	return [stack.volume("postgres-data"), stack.volume("redis-data"), stack.volume("backend-media")];
}

async function applicationAnswers(): Promise<void> {
	expect((await fetch(`${stack.url}/api/healthz`)).status).toBe(200);
}

test("a second up changes nothing, and the preview before it says so", async () => {
	const before = stack.containerIds();
	await stack.run(["preview", "--expect-no-changes"]);
	await stack.run(["up"]);
	expect(stack.containerIds()).toEqual(before);
});

test("a database that was killed starts at once, whatever process id it has left behind", async () => {
	const before = content();
	const id = docker("inspect", "--format", "{{.Id}}", `${prefix}-db`);
	const restarts = () => docker("inspect", "--format", "{{.RestartCount}}", id);
	const file = "/volume/postmaster.pid";
	// The first ids of a container: its own processes get them again.
	for (const left of [6, 7, 8, 9]) {
		docker("kill", id);
		stack.inImage("postgres", `${stack.volume("postgres-data")}:/volume`, `sed -i 1s/.*/${left}/ ${file}`);
		docker("start", id);
		waitFor(() => docker("exec", id, "pg_isready", "--quiet", "--host=127.0.0.1"));
		expect([left, restarts()]).toEqual([left, "0"]);
	}
	waitFor(() => content());
	expect(content()).toEqual(before);
});

describe("an edit leaves the data volumes as they were", () => {
	const edits: [string, () => Record<string, unknown>, string][] = [
		["of a label", () => ({ labels: ["stack-test=1", "team=other"] }), "same prefix"],
		["of an nginx setting", () => ({ maxUploadMb: 50 }), "same prefix"],
		["of an environment variable", () => ({ backendEnvironment: ["FEATURE=1"] }), "same prefix"],
		["of a memory limit", () => ({ dbMemoryMb: 768 }), "same prefix"],
		["of the prefix", () => ({ prefix: `${stack.name}-new` }), "new prefix"],
	];
	test.each(edits)("%s", async (_name, change, effect) => {
		const before = content();
		stack.configure(change());
		await stack.run(["preview"]);
		await stack.run(["up"]);
		if (effect === "new prefix") prefix = `${stack.name}-new`;
		expect(content()).toEqual(before);
		await applicationAnswers();
		await stack.run(["preview", "--expect-no-changes"]);
	});
});

test("under protect a destroy fails before anything is touched", async () => {
	stack.configure({ removalPolicy: "protect" });
	await stack.run(["up"]);
	const before = { ids: stack.containerIds(), content: content() };
	const { code, stderr } = await stack.run(["destroy", "--yes"], { mayFail: true });
	expect(code).toBe(1);
	expect(stderr).toContain("removalPolicy");
	expect({ ids: stack.containerIds(), content: content() }).toEqual(before);
	await applicationAnswers();
});

test("under retain the next up takes the data over and can log in to its database", async () => {
	stack.configure({ removalPolicy: "retain" });
	await stack.run(["up"]);
	const before = content();
	const oldPassword = stack.inService("db", "cat /run/secrets/database_password", prefix);
	await stack.run(["destroy", "--yes"]);
	expect(objectsOf(stack.name).sort()).toEqual(
		preciousVolumes()
			.map((name) => `volume ${name}`)
			.sort(),
	);
	await stack.run(["up"]);
	expect(stack.inService("db", "cat /run/secrets/database_password", prefix)).not.toBe(oldPassword);
	expect(content()).toEqual(before);
	await applicationAnswers();
});

test("under remove a destroy leaves no volume, network or container of the stack", async () => {
	stack.configure({ removalPolicy: "remove" });
	await stack.run(["up"]);
	await stack.run(["destroy", "--yes"]);
	expect(objectsOf(stack.name)).toEqual([]);
});
