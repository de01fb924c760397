import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { inDependencyOrder } from "../../../engine/local/dependency-order.ts";
import { type Resource, State } from "../../../engine/local/state.ts";
import { secret } from "../../../engine/local/values.ts";

let directory: string;
let file: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "state-test-"));
	file = join(directory, "dev", "state.json");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = () => State.open(file, "test");
const text = () => readFileSync(file, "utf8");
const written = () => JSON.parse(text()).deployment;

function resource(name: string, more: Partial<Resource> = {}): Resource {
	return { urn: `urn:${name}`, type: "t", custom: true, id: `${name}-id`, inputs: {}, outputs: {}, ...more };
}

describe("a state", () => {
	test("that has no file is empty, and looking at it makes none", async () => {
		const state = await open();
		expect(state.resources).toEqual([]);
		expect(state.get("urn:a")).toBeUndefined();
		expect(existsSync(file)).toBe(false);
	});

	test("gives back what was recorded, in the deployment format of Pulumi", async () => {
		const state = await open();
		const complete = resource("a", {
			inputs: { name: "x", list: [1, { deep: true }] },
			outputs: { name: "x" },
			protect: true,
			retainOnDelete: true,
			created: "2026-01-01T00:00:00.000Z",
		});
		state.put(complete);
		expect((await open()).resources).toEqual([complete]);
		expect(JSON.parse(text())).toMatchObject({
			version: 3,
			deployment: {
				secrets_providers: { type: "passphrase", state: { salt: expect.stringMatching(/^v1:/) } },
				resources: [{ urn: "urn:a", protect: true }],
				pending_operations: [],
			},
		});
	});

	test("is readable for its owner alone", async () => {
		(await open()).put(resource("a"));
		expect(statSync(file).mode & 0o777).toBe(0o600);
		expect(statSync(join(directory, "dev")).mode & 0o777).toBe(0o700);
	});

	test("is not written when what is recorded is what is there", async () => {
		const state = await open();
		state.put(resource("a", { dependencies: ["urn:x", "urn:y"], modified: "1" }));
		const before = text();
		state.put(resource("a", { dependencies: ["urn:y", "urn:x"], modified: "2" }));
		expect(text()).toBe(before);
		state.put(resource("a", { dependencies: ["urn:x"], modified: "2" }));
		expect(text()).not.toBe(before);
	});

	test.each([
		["protection", { protect: true }],
		["retention", { retainOnDelete: true }],
		["inputs", { inputs: { a: 1 } }],
		["property dependencies", { propertyDependencies: { a: ["urn:x"] } }],
	])("is written when only the %s has changed", async (_what, change) => {
		const state = await open();
		state.put(resource("a"));
		state.put(resource("a", change));
		expect((await open()).get("urn:a")).toMatchObject(change);
	});
});

describe("secrets", () => {
	test("are encrypted in the file and plain in memory", async () => {
		const state = await open();
		state.put(
			resource("a", { inputs: { p: secret("hidden") }, outputs: { deep: [{ p: secret("hidden2") }] } }),
		);
		expect(text()).not.toContain("hidden");
		expect(text()).toContain("ciphertext");
		expect((await open()).get("urn:a")).toMatchObject({
			inputs: { p: secret("hidden") },
			outputs: { deep: [{ p: secret("hidden2") }] },
		});
	});

	test("that have not changed keep their ciphertext, so that a file's diff shows what has", async () => {
		(await open()).put(resource("a", { outputs: { p: secret("hidden") } }));
		const before = written().resources[0].outputs.p;
		(await open()).put(resource("b"));
		expect(written().resources).toHaveLength(2);
		expect(written().resources[0].outputs.p).toEqual(before);
	});

	test("that two stacks have in common are encrypted with each stack's own key", async () => {
		(await open()).put(resource("a", { outputs: { p: secret("the same") } }));
		const otherFile = join(directory, "other", "state.json");
		(await State.open(otherFile, "another")).put(resource("a", { outputs: { p: secret("the same") } }));
		const other = await State.open(otherFile, "another");
		expect(other.get("urn:a")?.outputs.p).toEqual(secret("the same"));
	});

	test("cannot be opened with another passphrase, and the file stays as it is", async () => {
		(await open()).put(resource("a"));
		const before = text();
		await expect(State.open(file, "tset")).rejects.toThrow(/passphrase does not open/);
		expect(text()).toBe(before);
	});
});

describe("a creation under way", () => {
	test("is known as this stack's own after a kill", async () => {
		(await open()).begin(resource("a"));
		const state = await open();
		expect([...state.interrupted]).toEqual(["urn:a"]);
		expect(state.get("urn:a")).toBeUndefined();
	});

	test("is still known after a second kill, though the second run recorded other things", async () => {
		(await open()).begin(resource("a"));
		(await open()).put(resource("b"));
		expect([...(await open()).interrupted]).toEqual(["urn:a"]);
	});

	test("is over when its object is recorded, or when none was made", async () => {
		const state = await open();
		state.begin(resource("a"));
		state.begin(resource("b"));
		state.put(resource("a"));
		state.abandon("urn:b");
		expect([...(await open()).interrupted]).toEqual([]);
		expect((await open()).resources.map(({ urn }) => urn)).toEqual(["urn:a"]);
	});

	test("keeps its secrets encrypted too", async () => {
		(await open()).begin(resource("a", { inputs: { p: secret("hidden") } }));
		expect(text()).not.toContain("hidden");
		(await open()).put(resource("b"));
		expect(text()).not.toContain("hidden");
	});
});

describe("a resource whose successor is made before it goes", () => {
	test("stands beside it under the same URN until it is removed", async () => {
		const state = await open();
		const old = resource("a", { id: "old" });
		state.put(old);
		state.condemn(old);
		expect(state.get("urn:a")).toBeUndefined();
		state.put(resource("a", { id: "new" }));
		const reopened = await open();
		expect(reopened.get("urn:a")?.id).toBe("new");
		const condemned = reopened.resources.find((candidate) => candidate.delete);
		expect(condemned?.id).toBe("old");
		reopened.remove(condemned as Resource);
		expect((await open()).resources.map(({ id }) => id)).toEqual(["new"]);
	});
});

describe("the order", () => {
	const position = (resources: readonly Resource[], id: string) =>
		resources.findIndex((candidate) => candidate.id === id);

	test("puts each resource after provider, parent and dependencies, however they were recorded", async () => {
		const state = await open();
		state.put(resource("e", { propertyDependencies: { x: ["urn:d"], y: [] } }));
		state.put(resource("d", { dependencies: ["urn:c"] }));
		state.put(resource("c", { parent: "urn:b" }));
		state.put(resource("b", { provider: "urn:a::a-id" }));
		state.put(resource("a"));
		expect(state.resources.map(({ urn }) => urn)).toEqual(["urn:a", "urn:b", "urn:c", "urn:d", "urn:e"]);
		expect(written().resources.map(({ urn }: Resource) => urn)).toEqual([
			"urn:a",
			"urn:b",
			"urn:c",
			"urn:d",
			"urn:e",
		]);
	});

	test("holds after a run that recorded a part anew and was then ended", async () => {
		const first = await open();
		first.put(resource("network"));
		first.put(resource("container", { dependencies: ["urn:network"] }));
		const second = await open();
		second.put(resource("network", { outputs: { changed: true } }));
		expect((await open()).resources.map(({ urn }) => urn)).toEqual(["urn:network", "urn:container"]);
	});

	test("puts what needed a condemned object after it, so that it is deleted before it", async () => {
		const state = await open();
		const old = resource("a", { id: "old" });
		state.put(old);
		state.put(resource("b", { dependencies: ["urn:a"] }));
		state.condemn(old);
		expect(position(state.resources, "old")).toBeLessThan(position(state.resources, "b-id"));
		state.put(resource("a", { id: "new" }));
		expect(position(state.resources, "old")).toBeLessThan(position(state.resources, "b-id"));
		expect(position(state.resources, "new")).toBeLessThan(position(state.resources, "b-id"));
	});

	test("of what does not depend on each other stays as it was", () => {
		const names = ["c", "a", "b"].map((name) => resource(name));
		expect(inDependencyOrder(names)).toEqual(names);
	});

	test("ends also where a file says that two depend on each other", () => {
		const circle = [resource("a", { dependencies: ["urn:b"] }), resource("b", { dependencies: ["urn:a"] })];
		expect(inDependencyOrder(circle)).toHaveLength(2);
	});
});

test("a kill at any moment leaves a whole state, the old one or the new one", async () => {
	const program = join(import.meta.dirname, "state-writer.ts");
	let newest = -1;
	for (let kill = 0; kill < 6; kill++) {
		const child = spawn(process.execPath, [program, file], { env: { ...process.env, NODE_OPTIONS: "" } });
		await once(child.stdout, "data");
		await sleep(30 + kill * 11);
		child.kill("SIGKILL");
		await once(child, "close");
		const versions = (await open()).resources.map(({ outputs }) => {
			expect(String(outputs.bulk)).toHaveLength(300_000);
			return Number(outputs.version);
		});
		expect(versions).toHaveLength(2);
		// The two are recorded one after the other, so at most one step lies between them.
		expect(Math.abs((versions[0] ?? 0) - (versions[1] ?? 0))).toBeLessThanOrEqual(1);
		newest = Math.max(newest, ...versions);
	}
	expect(newest).toBeGreaterThan(0);
	expect(
		readdirSync(join(directory, "dev")).filter((name) => !/^state\.json(\.partial)?$/.test(name)),
	).toEqual([]);
}, 60_000);
