/** The local engine's decisions, with made-up objects: which step follows from what, and what a failure leaves. */
import { existsSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { Deployment } from "../../../engine/local/deployment.ts";
import { refuseForeignTypes } from "../../../engine/local/foreign-types.ts";
import type { Registration } from "../../../engine/local/monitor.ts";
import { type Properties, secret } from "../../../engine/local/values.ts";
import { type Declared, urnOf, World } from "./world.ts";

let world: World;
beforeEach(() => {
	world = new World();
});
afterEach(() => world.dispose());

const box = (name: string, inputs: Properties = {}, more: Partial<Declared> = {}): Declared => ({
	type: "box",
	name,
	inputs,
	...more,
});
const single = (name: string, inputs: Properties = {}, more: Partial<Declared> = {}): Declared => ({
	...box(name, inputs, more),
	type: "single",
});
const parcel = (name: string, inputs: Properties = {}, more: Partial<Declared> = {}): Declared => ({
	...box(name, inputs, more),
	type: "parcel",
});

const recorded = async () =>
	(await world.openState()).resources.filter(({ type }) => type.startsWith("test:index:"));
const recordOf = async (name: string) => (await recorded()).find(({ urn }) => urn.endsWith(`::${name}`));

describe("what is declared", () => {
	test("is created when it is new, and recorded with its id, inputs and outputs", async () => {
		expect(await world.did([box("a", { size: 1 })])).toEqual(["create a"]);
		expect(await recordOf("a")).toMatchObject({
			urn: "urn:pulumi:dev::persistent-stack::test:index:box::a",
			id: "a-1",
			inputs: { name: "a", size: 1 },
			outputs: { name: "a", size: 1, serial: 1 },
			provider: expect.stringMatching(/^urn:pulumi:dev::.*::default_1_0_0::/),
		});
	});

	test("is left alone when nothing has changed, and the state file is not even touched", async () => {
		const declared = [box("a", { size: 1 }), box("b", {}, { from: { serial: "a" } })];
		await world.run(declared);
		const before = world.stateText;
		expect(await world.did(declared)).toEqual([]);
		expect(world.stateText).toBe(before);
		expect((await world.run(declared, { dryRun: true })).changesRecords).toBe(false);
	});

	test("is updated in place, and keeps its id", async () => {
		await world.run([box("a", { size: 1 })]);
		expect(await world.did([box("a", { size: 2 })])).toEqual(["update a-1"]);
		expect(await recordOf("a")).toMatchObject({ id: "a-1", inputs: { size: 2 }, outputs: { size: 2 } });
	});

	test("is replaced by a new one before the old one goes, where both can exist", async () => {
		await world.run([box("a", { place: "x" })]);
		expect(await world.did([box("a", { place: "y" })])).toEqual(["create a", "delete a-1"]);
		expect([...world.objects.keys()]).toEqual(["a-2"]);
		expect(await recorded()).toMatchObject([{ id: "a-2" }]);
	});

	test("is replaced after the old one has gone, where only one can exist or the program wants it so", async () => {
		await world.run([single("a", { place: "x" }), box("b", { place: "x" }, { deleteBeforeReplace: true })]);
		expect(
			await world.did([single("a", { place: "y" }), box("b", { place: "y" }, { deleteBeforeReplace: true })]),
		).toEqual(["delete a-1", "create a", "delete b-2", "create b"]);
	});

	test("is replaced on a change that would be an update, where the program says so", async () => {
		const replaceOnChanges = ["size"];
		await world.run([box("a", { size: 1 }, { replaceOnChanges })]);
		expect(await world.plan([box("a", { size: 2 }, { replaceOnChanges })])).toEqual(["replace a"]);
		expect(await world.plan([box("a", { size: 2 })])).toEqual(["update a"]);
	});

	test("may not be declared twice", async () => {
		await expect(world.run([box("a"), box("a")])).rejects.toThrow(/declares a twice/);
	});

	test("is refused when it is of a type that this engine does not know, before anything of it is done", async () => {
		const unknown = { ...box("a"), type: "bucket" } as unknown as Declared;
		await expect(world.run([unknown])).rejects.toThrow(
			/cannot apply a of type test:index:bucket.*--engine pulumi up/,
		);
		expect(world.log).toEqual([]);
	});
});

describe("what is at AWS", () => {
	const declaration = (type: string, name: string): Registration => ({
		type,
		name,
		parent: "",
		custom: true,
		inputs: {},
		dependencies: [],
		propertyDependencies: {},
		protect: true,
		retainOnDelete: true,
		deleteBeforeReplace: false,
		ignoreChanges: [],
		replaceOnChanges: [],
		version: "7.48.0",
	});
	const run = async (dryRun: boolean) => {
		const deployment = new Deployment(await world.openState(), {
			...{ stack: "prod", dryRun, drift: new Map(), signal: undefined, providers: world.providers },
			onEvent: () => {},
			permit: () => {},
		});
		await deployment.register(declaration("pulumi:providers:aws", "aws"));
		await deployment.register(declaration("aws:s3/bucket:Bucket", "shop"));
		return deployment;
	};

	test("is shown in a plan", async () => {
		const { plan } = await run(true);
		expect(plan.map(({ operation, name }) => `${operation} ${name}`)).toEqual(["create aws", "create shop"]);
	});

	test("is refused with the whole plan, so that nothing of it is begun", async () => {
		const { plan } = await run(true);
		expect(() => refuseForeignTypes(plan, "prod")).toThrow(
			"the local engine previews what is at AWS and cannot apply it: 2 objects of this plan, aws and so on. Nothing was changed. Apply this stack with Pulumi: ./docker-dev.sh -s prod --engine pulumi up.",
		);
		expect(() => refuseForeignTypes([], "prod")).not.toThrow();
	});

	test("is not applied, whoever asks", async () => {
		await expect(run(false)).rejects.toThrow(/cannot apply aws of type pulumi:providers:aws/);
		expect(await recorded()).toEqual([]);
	});
});

describe("what is no longer declared", () => {
	test("is deleted, last made first", async () => {
		await world.run([box("a"), box("b", {}, { from: { serial: "a" } }), box("c")]);
		expect(await world.did([])).toEqual(["delete c-3", "delete b-2", "delete a-1"]);
		expect((await world.openState()).resources).toEqual([]);
	});

	test("goes after everything new has been made", async () => {
		await world.run([box("a")]);
		expect(await world.did([box("b")])).toEqual(["create b", "delete a-1"]);
	});

	test("is forgotten and left in place where it is retained", async () => {
		await world.run([box("a", {}, { retainOnDelete: true })]);
		expect(await world.plan([])).toEqual(["forget a"]);
		expect(await world.did([])).toEqual([]);
		expect([...world.objects.keys()]).toEqual(["a-1"]);
		expect(await recorded()).toEqual([]);
	});

	test("is refused and left in place where it is protected", async () => {
		await world.run([box("a", {}, { protect: true })]);
		const before = world.stateText;
		await expect(world.run([])).rejects.toThrow(
			"protected: a. Nothing was deleted. To lift the protection, set removalPolicy: retain or remove in the stack's file and run up, then try again.",
		);
		await expect(world.run([], { dryRun: true })).rejects.toThrow(/^protected: a/);
		expect([...world.objects.keys()]).toEqual(["a-1"]);
		expect(world.stateText).toBe(before);
	});
});

describe("resource options", () => {
	test("protect refuses a replacement too, in the plan already", async () => {
		await world.run([box("a", { place: "x" }, { protect: true })]);
		const declared = [box("a", { place: "y" }, { protect: true })];
		await expect(world.run(declared, { dryRun: true })).rejects.toThrow(/^protected: a/);
		await expect(world.run(declared)).rejects.toThrow(/^protected: a/);
		expect([...world.objects.keys()]).toEqual(["a-1"]);
	});

	test("protect refuses although the program has just lifted it in the same edit", async () => {
		await world.run([box("a", { place: "x" }, { protect: true })]);
		await expect(world.run([box("a", { place: "y" })])).rejects.toThrow(/^protected: a/);
	});

	test("protect and retainOnDelete are recorded when they alone change, and a plan says that they would be", async () => {
		await world.run([box("a", {}, { protect: true, retainOnDelete: true })]);
		const lifted = [box("a")];
		const preview = await world.run(lifted, { dryRun: true });
		expect(preview.plan.map(({ operation }) => operation)).toEqual(["same"]);
		expect(preview.changesRecords).toBe(true);
		expect(await world.did(lifted)).toEqual([]);
		expect((await recordOf("a"))?.protect).toBeUndefined();
		expect(await world.did([])).toEqual(["delete a-1"]);
	});

	test("ignoreChanges keeps what was applied, whatever is declared, and other changes come through", async () => {
		const ignoreChanges = ["place", "labels"];
		await world.run([box("a", { place: "x", size: 1 }, { ignoreChanges })]);
		expect(await world.plan([box("a", { place: "y", size: 1 }, { ignoreChanges })])).toEqual(["same a"]);
		expect(await world.did([box("a", { place: "y", size: 2, labels: ["new"] }, { ignoreChanges })])).toEqual([
			"update a-1",
		]);
		expect((await recordOf("a"))?.inputs).toEqual({ name: "a", place: "x", size: 2 });
	});

	test("ignoreChanges does not apply to what is made for the first time", async () => {
		await world.run([box("a", { place: "x" }, { ignoreChanges: ["place"] })]);
		expect((await recordOf("a"))?.inputs.place).toBe("x");
	});

	test("retainOnDelete leaves the old object of a replacement in place", async () => {
		const retainOnDelete = true;
		await world.run([
			box("a", { place: "x" }, { retainOnDelete }),
			single("b", { place: "x" }, { retainOnDelete }),
		]);
		expect(
			await world.did([
				box("a", { place: "y" }, { retainOnDelete }),
				single("b", { place: "y" }, { retainOnDelete }),
			]),
		).toEqual(["create a", "create b"]);
		expect([...world.objects.keys()]).toEqual(["a-1", "b-2", "a-3", "b-4"]);
	});
});

describe("a replacement in which the old one goes first", () => {
	const declared = (place: string): Declared[] => [
		single("network", { place }),
		parcel("container", {}, { from: { place: "network" } }),
		parcel("probe", {}, { from: { serial: "container" } }),
		box("bystander", {}, { dependencies: [urnOf("single", "network")] }),
	];

	test("takes along what could not do without it, last made first, and makes all of it anew", async () => {
		await world.run(declared("x"));
		expect(await world.did(declared("y"))).toEqual([
			"delete probe-3",
			"delete container-2",
			"delete network-1",
			"create network",
			"create container",
			"create probe",
		]);
	});

	test("is foreseen by the plan with all that goes along, although its name stays the same", async () => {
		const withName = (place: string): Declared[] => [
			single("network", { place, address: "fixed" }),
			parcel("container", {}, { from: { address: "network" } }),
			box("bystander", {}, { dependencies: [urnOf("single", "network")] }),
		];
		await world.run(withName("x"));
		expect(await world.plan(withName("y"))).toEqual([
			"replace network",
			"replace container",
			"same bystander",
		]);
		expect(await world.did(withName("y"))).toEqual([
			"delete container-2",
			"delete network-1",
			"create network",
			"create container",
		]);
	});

	test("keeps what goes along but is retained, and refuses when it is protected", async () => {
		const chain = (place: string, options: Partial<Declared>): Declared[] => [
			single("network", { place }),
			parcel("volume", {}, { from: { place: "network" }, ...options }),
		];
		await world.run(chain("x", { retainOnDelete: true }));
		expect(await world.did(chain("y", { retainOnDelete: true }))).toEqual([
			"delete network-1",
			"create network",
			"create volume",
		]);
		await world.run(chain("y", { protect: true }));
		await expect(world.run(chain("z", { protect: true }), { dryRun: true })).rejects.toThrow(
			/^protected: volume/,
		);
		await expect(world.run(chain("z", { protect: true }))).rejects.toThrow(/^protected: volume/);
		expect([...world.objects.keys()]).toEqual(["volume-2", "network-3", "volume-4"]);
	});

	test("makes what goes along as it was, where the program ignores its changes", async () => {
		const ignoreChanges = ["label"];
		const chain = (place: string, label: string): Declared[] => [
			single("network", { place }),
			parcel("container", { label }, { from: { place: "network" }, ignoreChanges }),
		];
		await world.run(chain("x", "first"));
		await world.run(chain("y", "second"));
		expect((await recordOf("container"))?.inputs).toMatchObject({ place: "y", label: "first" });
	});

	test("asks for permission for each object that it would delete", async () => {
		await world.run(declared("x"));
		const asked: string[] = [];
		const permit = ({ operation, name }: { operation: string; name: string }) => {
			asked.push(`${operation} ${name}`);
			if (name === "container") throw new Error("not in the plan");
		};
		await expect(world.run(declared("y"), { permit })).rejects.toThrow("not in the plan");
		expect(asked).toEqual(["replace network", "replace probe", "replace container"]);
		expect([...world.objects.keys()]).toContain("network-1");
	});
});

describe("a failure", () => {
	test("before the object exists leaves nothing recorded of it, and the next run creates it", async () => {
		world.failing.set("b", "before");
		await expect(world.run([box("a"), box("b")], {})).rejects.toThrow("b cannot be made");
		expect((await recorded()).map(({ id }) => id)).toEqual(["a-1"]);
		world.failing.clear();
		expect(await world.did([box("a"), box("b")])).toEqual(["create b"]);
	});

	test("when the object exists already records it with the reason, and the next run replaces it", async () => {
		world.failing.set("a", "after");
		await expect(world.run([box("a")])).rejects.toThrow("a is not well");
		expect(await recordOf("a")).toMatchObject({ id: "a-1", initErrors: ["a is not well"] });
		world.failing.clear();
		expect(await world.plan([box("a")])).toEqual(["replace a"]);
		expect(await world.did([box("a")])).toEqual(["create a", "delete a-1"]);
		expect((await recordOf("a"))?.initErrors).toBeUndefined();
		expect(await world.plan([box("a")])).toEqual(["same a"]);
	});

	test("of a successor keeps the old object, which goes when the successor is made", async () => {
		await world.run([box("a", { place: "x" })]);
		world.failing.set("a", "before");
		await expect(world.run([box("a", { place: "y" })], { unfinished: true })).rejects.toThrow();
		expect([...world.objects.keys()]).toEqual(["a-1"]);
		world.failing.clear();
		expect(await world.did([box("a", { place: "y" })])).toEqual(["create a", "delete a-1"]);
		expect((await recorded()).map(({ id }) => id)).toEqual(["a-2"]);
	});

	test("of an update leaves recorded what was applied before", async () => {
		await world.run([box("a", { size: 1 })]);
		world.onAction = () => {
			throw new Error("refused");
		};
		await expect(world.run([box("a", { size: 2 })])).rejects.toThrow("refused");
		expect((await recordOf("a"))?.inputs.size).toBe(1);
		world.onAction = () => {};
		expect(await world.did([box("a", { size: 2 })])).toEqual(["update a-1"]);
	});

	test("of a deletion leaves the object recorded, and the next run tries again", async () => {
		await world.run([box("a"), box("b")]);
		world.failing.set("a-1", "before");
		await expect(world.run([])).rejects.toThrow("a-1 cannot be deleted");
		expect((await recorded()).map(({ id }) => id)).toEqual(["a-1"]);
		world.failing.clear();
		expect(await world.did([])).toEqual(["delete a-1"]);
	});

	test("is reported as the end of its step, and no success is", async () => {
		world.failing.set("a", "before");
		await expect(world.run([box("a")])).rejects.toThrow();
		expect(world.events).toMatchObject([
			{ kind: "started", step: { operation: "create", name: "a" } },
			{ kind: "failed", step: { operation: "create", name: "a" }, message: "a cannot be made" },
		]);
	});
});

describe("an abort", () => {
	test("in the middle records what was done, begins nothing new, and the next run goes on", async () => {
		const controller = new AbortController();
		world.onAction = (action) => {
			if (action === "create b") controller.abort(new Error("interrupted"));
		};
		const declared = [box("a"), box("b"), box("c")];
		await expect(world.run(declared, { signal: controller.signal })).rejects.toThrow("interrupted");
		expect(world.log).toEqual(["create a", "create b"]);
		expect((await recorded()).map(({ id }) => id)).toEqual(["a-1", "b-2"]);
		world.onAction = () => {};
		expect(await world.did(declared)).toEqual(["create c"]);
	});

	test("by a kill while an object is made lets the next run know that what it finds is its own", async () => {
		const state = await world.openState();
		state.begin({
			urn: urnOf("box", "a"),
			type: "test:index:box",
			custom: true,
			inputs: { name: "a" },
			outputs: {},
		});
		expect(await world.did([box("z"), box("a")])).toEqual(["create z", "create a (interrupted before)"]);
		expect([...(await world.openState()).interrupted]).toEqual([]);
	});
});

describe("a dry run", () => {
	const before = [
		box("kept", { size: 1 }),
		box("updated", { size: 1 }),
		single("replaced", { place: "x" }),
		parcel("dependent", {}, { from: { serial: "replaced" } }),
		box("gone"),
	];
	const after = [
		box("kept", { size: 1 }),
		box("updated", { size: 2 }),
		single("replaced", { place: "y" }),
		parcel("dependent", {}, { from: { serial: "replaced" } }),
		box("new"),
	];

	test("names every step in the order in which it would happen", async () => {
		await world.run(before);
		expect(await world.plan(after)).toEqual([
			"same kept",
			"update updated",
			"replace replaced",
			"replace dependent",
			"create new",
			"delete gone",
		]);
	});

	test("changes nothing at all: no object, and not one byte of the state", async () => {
		await world.run(before);
		const text = world.stateText;
		const objects = JSON.stringify([...world.objects]);
		world.log.length = 0;
		await world.run(after, { dryRun: true });
		expect(world.log).toEqual([]);
		expect(world.stateText).toBe(text);
		expect(JSON.stringify([...world.objects])).toBe(objects);
	});

	test("of a stack that does not exist makes no state file", async () => {
		await world.run(after, { dryRun: true });
		expect(existsSync(world.stateFile)).toBe(false);
	});

	test("names the same destructions as the run after it carries out", async () => {
		await world.run(before);
		const planned = (await world.run(after, { dryRun: true })).plan;
		const done = (await world.run(after)).plan;
		const destructive = (steps: typeof planned) =>
			steps.filter(({ operation }) => /replace|delete|forget/.test(operation)).map(({ urn }) => urn);
		expect(destructive(done)).toEqual(destructive(planned));
	});

	test("hands on what is known and marks what is not, so that a plan does not cry wolf", async () => {
		const chain = (size: number): Declared[] => [
			box("a", { size }),
			box("constant", {}, { from: { name: "a" } }),
			box("known", {}, { from: { size: "a" } }),
			box("unknown", {}, { from: { serial: "a" } }),
		];
		await world.run(chain(1));
		const { plan } = await world.run(chain(2), { dryRun: true });
		expect(plan.map(({ operation, name, differences }) => [operation, name, differences[0]?.after])).toEqual([
			["update", "a", "2"],
			["same", "constant", undefined],
			["update", "known", "2"],
			["update", "unknown", "[unknown]"],
		]);
	});

	test("shows no secret among the differences", async () => {
		await world.run([box("a", { password: secret("old") })]);
		const { plan } = await world.run([box("a", { password: secret("new") })], { dryRun: true });
		expect(plan[0]?.differences).toEqual([
			{ property: "password", before: "[secret]", after: "[secret]", replaces: false },
		]);
	});
});

describe("what really exists", () => {
	test("is made again when it has gone", async () => {
		await world.run([box("a"), box("b")]);
		world.objects.delete("a-1");
		const drift = new Map([[urnOf("box", "a"), undefined]]);
		expect(await world.plan([box("a"), box("b")], { drift })).toEqual(["create a", "same b"]);
		expect(await world.did([box("a"), box("b")], { drift })).toEqual(["create a"]);
		expect((await recorded()).map(({ id }) => id).sort()).toEqual(["a-3", "b-2"]);
	});

	test("is brought back to what is declared when it differs", async () => {
		await world.run([box("a", { running: true })]);
		const drift = new Map([[urnOf("box", "a"), { running: false }]]);
		expect(await world.did([box("a", { running: true })], { drift })).toEqual(["update a-1"]);
	});
});

describe("secrets", () => {
	test("stay secret in what an object reports back, also where it derives something from them", async () => {
		await world.run([box("a", { password: secret("hidden"), size: 1 })]);
		const record = await recordOf("a");
		expect(record?.inputs.password).toEqual(secret("hidden"));
		expect(record?.outputs).toEqual({
			name: "a",
			size: 1,
			password: secret("hidden"),
			serial: secret(1),
		});
		expect(world.stateText).not.toContain("hidden");
	});

	test("reach the object itself in the clear", async () => {
		await world.run([box("a", { password: secret("hidden") })]);
		expect(world.objects.get("a-1")).toMatchObject({ password: "hidden" });
	});
});
