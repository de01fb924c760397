import { describe, expect, test } from "@jest/globals";
import { findDataLoss, refuseDataLoss } from "../../../engine/data-guard.ts";
import { type Operation, operations, type Step } from "../../../engine/engine.ts";
import { DataLossError } from "../../../engine/errors.ts";

const volumeType = "docker:index/volume:Volume";

function step(operation: Operation, key: string, type = volumeType, properties: string[] = []): Step {
	return {
		operation,
		type,
		name: `stack-volumes-${key}`,
		urn: `urn:pulumi:dev::persistent-stack::${type}::stack-volumes-${key}`,
		differences: properties.map((property) => ({ property, replaces: true })),
	};
}

const precious = ["postgres-data", "redis-data", "backend-media"];
const others = ["backend-static", "frontend-node-modules", "proxy-logs"];

describe.each(precious)("the volume %s", (key) => {
	test.each(["delete", "replace"] as const)("may not be the object of a %s", (operation) => {
		expect(() => refuseDataLoss([step(operation, key)])).toThrow(DataLossError);
		expect(() => refuseDataLoss([step(operation, key)])).toThrow(
			new RegExp(`nothing was changed:\\n  ${operation} ${key} \\(`),
		);
	});

	test.each(operations.filter((operation) => operation !== "delete" && operation !== "replace"))(
		"may be the object of a %s, which keeps the data",
		(operation) => {
			expect(() => refuseDataLoss([step(operation, key)])).not.toThrow();
		},
	);
});

describe.each(others)("the volume %s", (key) => {
	test("may be deleted and replaced: its content comes back by itself", () => {
		expect(findDataLoss([step("delete", key), step("replace", key)])).toEqual([]);
	});
});

test("a volume that the catalogue no longer has counts as precious", () => {
	expect(() => refuseDataLoss([step("delete", "invoices")])).toThrow(
		/delete stack-volumes-invoices \(no longer in the catalogue\)/,
	);
});

test("containers and networks may be replaced and deleted", () => {
	const plan = [
		step("replace", "postgres-data", "docker:index/container:Container"),
		step("delete", "data", "docker:index/network:Network"),
	];
	expect(() => refuseDataLoss(plan)).not.toThrow();
});

test("the refusal names every volume, the properties that cause it, and the way to do it on purpose", () => {
	const plan = [
		step("replace", "postgres-data", volumeType, ["name", "labels"]),
		step("same", "redis-data"),
		step("delete", "backend-media"),
	];
	expect(findDataLoss(plan).map(({ volume }) => volume)).toEqual(["postgres-data", "backend-media"]);
	expect(() => refuseDataLoss(plan)).toThrow(
		[
			"this plan would destroy data, so nothing was changed:",
			"  replace postgres-data (PostgreSQL database), because of: name, labels",
			"  delete backend-media (User uploads)",
			"Undo the edit that causes it. To remove a stack with its data on purpose, use clean-all or destroy.",
		].join("\n"),
	);
});
