/** Plain `pulumi` on a protected stack: neither a preview nor its absence lets a destroy touch anything. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { isPulumiInstalled } from "../../engine/pulumi/pulumi-engine.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up.
jest.setTimeout(300_000);

const pulumi = isPulumiInstalled();
if (!pulumi) process.stderr.write("there is no pulumi on the PATH: its destroy is not tried\n");
const live = pulumi ? test : test.skip;
let stack: TestStack;

beforeAll(async () => {
	if (!pulumi) return;
	stack = await TestStack.create({ removalPolicy: "protect" });
	await stack.run(["--engine", "pulumi", "up"]);
});

afterAll(() => stack?.cleanUp());

/** The backend and passphrase that the command line uses where nobody is logged in. */
function destroy(...options: string[]) {
	return spawnSync("pulumi", ["destroy", "--yes", "--stack", stack.name, ...options], {
		cwd: stack.directory,
		encoding: "utf8",
		env: {
			...process.env,
			NODE_OPTIONS: "",
			PULUMI_SKIP_UPDATE_CHECK: "true",
			PULUMI_BACKEND_URL: `file://${join(stack.directory, ".stack", "pulumi")}`,
			PULUMI_CONFIG_PASSPHRASE_FILE: join(stack.directory, ".stack", "passphrase"),
		},
	});
}

live.each([[[]], [["--skip-preview"]]])("pulumi destroy %j fails before anything is touched", (options) => {
	const before = stack.containerIds();
	const { status, stdout, stderr } = destroy(...options);
	expect(`${stdout}${stderr}`).toContain("protect");
	expect(status).not.toBe(0);
	expect(stack.containerIds()).toEqual(before);
});
