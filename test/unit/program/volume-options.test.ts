/** The options that decide whether data survives: they are on the wire only, and no preview shows them. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { type RecordedStack, recordStack } from "./record.ts";

/** By volume: what a removal policy does to `protect` and `retainOnDelete`. */
const table = {
	"stack-volumes-postgres-data": "precious",
	"stack-volumes-redis-data": "precious",
	"stack-volumes-backend-media": "precious",
	"stack-volumes-backend-static": "comes back by itself",
	"stack-volumes-frontend-node-modules": "comes back by itself",
	"stack-volumes-proxy-logs": "comes back by itself",
} as const;

const options = {
	precious: {
		remove: { protect: false, retainOnDelete: false },
		retain: { protect: false, retainOnDelete: true },
		protect: { protect: true, retainOnDelete: true },
	},
	"comes back by itself": {
		remove: { protect: false, retainOnDelete: false },
		retain: { protect: false, retainOnDelete: false },
		protect: { protect: false, retainOnDelete: false },
	},
} as const;

describe.each(["remove", "retain", "protect"] as const)("under removalPolicy %s", (removalPolicy) => {
	let stack: RecordedStack;
	beforeAll(async () => {
		stack = await recordStack({ stack: "qa", settings: { removalPolicy } });
	});

	test.each(Object.entries(table))(
		"%s, which is %s, carries exactly the options of the table",
		async (name, worth) => {
			expect(stack.named(name).options).toMatchObject(options[worth][removalPolicy]);
		},
	);

	test("no change of any property can replace a volume", async () => {
		const volumes = stack.ofType("docker:index/volume:Volume");
		expect(volumes).toHaveLength(6);
		for (const volume of volumes) {
			expect(volume.options.ignoreChanges).toEqual(["name", "labels", "driver", "driverOpts"]);
			expect(volume.options.replaceOnChanges).toEqual([]);
		}
	});

	test("nothing but precious volumes is protected or retained", async () => {
		const kept = stack.resources.filter(
			({ options: { protect, retainOnDelete } }) => protect || retainOnDelete,
		);
		const expected = Object.entries(table).filter(
			([, worth]) => worth === "precious" && removalPolicy !== "remove",
		);
		expect(kept.map(({ name }) => name).sort()).toEqual(expected.map(([name]) => name).sort());
	});

	test("a destroy is refused by the guard of the stack only where it is protected", async () => {
		const { inputs } = stack.named("stack-destroy-guard-check");
		if (removalPolicy === "protect") expect(inputs.delete).toMatch(/exit 1$/);
		else expect(inputs.delete).toBeUndefined();
	});
});

test.each([
	["dev", "remove"],
	["staging", "retain"],
	["prod", "protect"],
] as const)("the committed %s stack carries the options of %s", async (name, policy) => {
	const stack = await recordStack({ stack: name });
	expect(stack.named("stack-volumes-postgres-data").options).toMatchObject(options.precious[policy]);
});

test("a stack file that says nothing protects what is precious", async () => {
	const stack = await recordStack({ stack: "qa" });
	expect(stack.named("stack-volumes-backend-media").options).toMatchObject(options.precious.protect);
});
