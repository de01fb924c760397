/** Whatever the local engine makes is what the Docker provider makes: as `docker inspect` shows it. */
import { readFileSync } from "node:fs";
import { describe, expect, jest, test } from "@jest/globals";
import { isPulumiInstalled } from "../../engine/pulumi/pulumi-engine.ts";
import { inspectStack } from "../support/inspection.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

/** Made by `node test/support/record-parity.ts` with the real engine. */
const recorded = JSON.parse(
	readFileSync(new URL("../fixtures/inspect-by-pulumi.json", import.meta.url), "utf8"),
) as Record<string, unknown>;

async function inspectAfterUp(mode: string, engine: string): Promise<unknown> {
	const stack = await TestStack.create({ mode });
	try {
		await stack.run(["--engine", engine, "up"]);
		await stack.run(["--engine", engine, "preview", "--expect-no-changes"]);
		const inspected = inspectStack(stack);
		await stack.run(["--engine", engine, "destroy", "--yes"]);
		return inspected;
	} finally {
		stack.cleanUp();
	}
}

describe.each(["development", "production"])("in mode %s", (mode) => {
	test("the local engine makes the objects that Pulumi was recorded to make", async () => {
		expect(await inspectAfterUp(mode, "local")).toEqual(recorded[mode]);
	});

	const pulumi = isPulumiInstalled();
	if (!pulumi)
		process.stderr.write("there is no pulumi on the PATH: Pulumi's objects are not compared live\n");
	(pulumi ? test : test.skip)("Pulumi makes them still, and its second preview shows no change", async () => {
		expect(await inspectAfterUp(mode, "pulumi")).toEqual(recorded[mode]);
	});
});
