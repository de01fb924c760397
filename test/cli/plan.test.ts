import { expect, test } from "@jest/globals";
import { changes, describe as describeStep, differenceLines, volumeVerdicts } from "../../cli/plan.ts";
import type { Operation, Step } from "../../engine/engine.ts";

const step = (operation: Operation, type: string, name: string): Step => ({
	operation,
	type,
	name,
	urn: `urn:pulumi:dev::persistent-stack::${type}::${name}`,
	differences: [],
});
const volume = (operation: Operation, key: string) =>
	step(operation, "docker:index/volume:Volume", `stack-volumes-${key}`);

test("components, providers and the stack itself are no changes", () => {
	const real = volume("create", "redis-data");
	expect(
		changes([
			step("create", "pulumi:pulumi:Stack", "persistent-stack-dev"),
			step("create", "pulumi:providers:docker", "default"),
			step("create", "persistent-stack:services:Cache", "stack-redis"),
			volume("same", "postgres-data"),
			real,
		]),
	).toEqual([real]);
});

test("objects are called what the operator calls them", () => {
	const called = (type: string, name: string) =>
		Object.values(describeStep(step("create", type, name), "app")).join(" ");
	expect(called("docker:index/container:Container", "stack-db-container")).toBe("container app-db");
	expect(called("docker:index/volume:Volume", "stack-volumes-postgres-data")).toBe(
		"volume app-postgres-data",
	);
	expect(called("docker:index/network:Network", "stack-networks-edge")).toBe("network app-edge");
	expect(called("docker:index/remoteImage:RemoteImage", "stack-images-redis")).toBe("image redis");
	expect(called("command:local:Command", "stack-migrations-run")).toBe("action database migrations");
	expect(called("aws:s3/bucket:Bucket", "stack-offsite-main-bucket")).toBe("aws offsite-main-bucket");
});

test("a precious volume that a plan deletes or replaces is lost, a regenerable one is not", () => {
	const verdict = (operation: Operation, key: string, existing: string[] = [key]) =>
		volumeVerdicts([volume(operation, key)], new Set(existing)).find((found) => found.key === key);
	for (const operation of ["delete", "replace"] as const) {
		expect(verdict(operation, "postgres-data")).toMatchObject({ loses: true, verdict: "DATA IS LOST" });
		expect(verdict(operation, "redis-data")).toMatchObject({ loses: true });
		expect(verdict(operation, "backend-static")).toMatchObject({ loses: false });
	}
	expect(verdict("forget", "backend-media")).toMatchObject({
		loses: false,
		verdict: expect.stringContaining("kept"),
	});
	expect(verdict("create", "postgres-data")?.verdict).toContain("taken over with its data");
	expect(verdict("create", "postgres-data", [])?.verdict).toBe("made, empty");
	expect(verdict("same", "postgres-data")?.verdict).toBe("kept");
});

test("a difference in a list shows the items that differ, and labels as name=value", () => {
	const label = (value: string) => ({ label: "team", value });
	const difference = {
		property: "labels",
		before: JSON.stringify([{ label: "a", value: "b" }, label("x")]),
		after: JSON.stringify([{ label: "a", value: "b" }, label("y")]),
		replaces: true,
	};
	expect(differenceLines(difference, { full: false, width: 80 })).toEqual([
		"labels (replaces):",
		"  - team=x",
		"  + team=y",
	]);
});

test("a changed secret shows that it changed and nothing else", () => {
	const difference = { property: "uploads", before: "[secret]", after: "[secret]", replaces: true };
	expect(differenceLines(difference, { full: true, width: 80 })).toEqual([
		"uploads (replaces): [secret] changed",
	]);
});

test("a long difference is cut unless it is asked for in full", () => {
	const lines = (count: number, word: string) =>
		JSON.stringify(Array.from({ length: count }, (_, n) => `${word}${n}`));
	const difference = { property: "envs", before: lines(20, "a"), after: lines(20, "b"), replaces: false };
	expect(differenceLines(difference, { full: false, width: 80 })).toHaveLength(8);
	expect(differenceLines(difference, { full: true, width: 80 })).toHaveLength(41);
});
