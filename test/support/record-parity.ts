/**
 * Records what the real Pulumi engine makes of the program, for the parity test:
 *
 *     node test/support/record-parity.ts
 *
 * Needs `pulumi` with the plugins docker 5.2.0, command 1.2.1 and random 4.21.2.
 */
import { writeFileSync } from "node:fs";
import { inspectStack } from "./inspection.ts";
import { TestStack } from "./test-stack.ts";

const recorded: Record<string, unknown> = {};
for (const mode of ["development", "production"]) {
	const stack = await TestStack.create({ mode });
	try {
		await stack.run(["--engine", "pulumi", "up"]);
		recorded[mode] = inspectStack(stack);
		await stack.run(["--engine", "pulumi", "destroy", "--yes"]);
	} finally {
		stack.cleanUp();
	}
}
const file = new URL("../fixtures/inspect-by-pulumi.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(recorded, undefined, "\t")}\n`);
