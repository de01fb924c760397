/**
 * What is asked before data goes, on a real pseudo-terminal and without one, against containers and volumes that
 * only look like a stack's. No other answer than the right one removes anything.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { VolumeKey } from "../../components/catalogue.ts";
import { engineRecordFile } from "../../components/engine-in-use.ts";
import { acquireLock, lockFile } from "../../recovery/lock.ts";
import { docker, objectsOf, removeLabelled, testLabel } from "../support/docker.ts";
import { atTerminal, keys } from "../support/terminal.ts";
import { TestStack } from "../support/test-stack.ts";

jest.setTimeout(60_000);

let stack: TestStack;
let owner: string;
const phraseQuestion = /Type 'DELETE EVERYTHING' to confirm: /;
const yesNoQuestion = /Go on\? \[y\/N\] /;
const { enter, endOfInput, interrupt } = keys;

beforeAll(async () => {
	stack = await TestStack.create();
	owner = `persistent-stack.owner=persistent-stack/${stack.name}`;
	await stack.recordImages();
	mkdirSync(join(stack.directory, ".stack", stack.name), { recursive: true });
	writeFileSync(engineRecordFile(join(stack.directory, ".stack", stack.name)), "local\n");
});

afterAll(() => stack?.cleanUp());

/** Most tests leave everything as it was, which they have checked themselves. */
beforeEach(() => {
	if (objectsOf(stack.name).length === 4) return;
	removeLabelled(owner);
	for (const [service, key] of [
		["db", "postgres-data"],
		["redis", "redis-data"],
	] as const) {
		makeVolume(key);
		const labels = ["--label", owner, "--label", `persistent-stack.service=${service}`, "--label", testLabel];
		const mount = ["--volume", `${stack.volume(key)}:/data`, "--network", "none", "--init"];
		const run = ["run", "--detach", "--name", `${stack.name}-${service}`, "--entrypoint", "sh"];
		docker(...run, ...labels, ...mount, stack.baseImage("redis"), "-c", "echo kept > /data/proof; sleep 600");
	}
});

function makeVolume(key: VolumeKey): void {
	const labels = ["--label", owner, "--label", `persistent-stack.volume=${key}`, "--label", testLabel];
	docker("volume", "create", ...labels, stack.volume(key));
}

/** Everything that there is, ids and content included. */
function everything() {
	return {
		objects: objectsOf(stack.name).sort(),
		running: docker("ps", "--quiet", "--filter", `label=${owner}`).split("\n").length,
		database: docker("exec", `${stack.name}-db`, "cat", "/data/proof"),
		cache: docker("exec", `${stack.name}-redis`, "cat", "/data/proof"),
	};
}

describe("at a terminal every other answer is a refusal, and nothing is touched", () => {
	test.each([
		["clean-all", "in lower case", `delete everything${enter}`, 3],
		["clean-all", "with a space behind it", `DELETE EVERYTHING ${enter}`, 3],
		["clean-all", "yes", `yes${enter}`, 3],
		["clean-all", "nothing", enter, 3],
		["clean-all", "the end of input", endOfInput, 3],
		["clean-all", "the phrase without a return, and Ctrl-C", `DELETE EVERYTHING${interrupt}`, 130],
		["clean-cache", "nothing", enter, 3],
		["clean-cache", "n", `n${enter}`, 3],
		["clean-cache", "the phrase of another verb", `DELETE EVERYTHING${enter}`, 3],
		["clean-cache", "the end of input", endOfInput, 3],
		["clean-cache", "Ctrl-C", interrupt, 130],
	])("%s: %s", async (verb, _name, answer, expected) => {
		const before = everything();
		const question = verb === "clean-all" ? phraseQuestion : yesNoQuestion;
		const { code, shown } = await atTerminal(stack.commandLine([verb]), { question, answer });
		expect([code, shown]).toEqual([expected, expect.stringMatching(question)]);
		if (expected === 3) expect(shown).toContain("nothing was changed");
		expect(everything()).toEqual(before);
	});
});

describe("where nobody can be asked it ends at once with 2 and the command line to use", () => {
	test.each([
		["clean-all", "a piped yes", [], "yes\n"],
		["clean-all", "the piped phrase", [], "DELETE EVERYTHING\n"],
		["clean-all", "--yes", ["--yes"], ""],
		["clean-all", "--confirm with another phrase", ["--confirm", "delete everything"], ""],
		["clean-cache", "a piped yes", [], "yes\n"],
		["clean-logs", "a piped yes", [], "y\n"],
	])("%s: %s", async (verb, _name, options, input) => {
		makeVolume("proxy-logs");
		const before = everything();
		const { code, stderr } = await stack.run([verb, ...options], { input, mayFail: true });
		expect(code).toBe(2);
		const confirmed = verb === "clean-all" ? '--confirm "DELETE EVERYTHING"' : "--yes";
		expect(stderr).toContain(`./docker-dev.sh -s ${stack.name} ${verb} ${confirmed}`);
		expect(everything()).toEqual(before);
	});

	test.each([
		["in CI", [], { CI: "true" }],
		["with --no-input", ["--no-input"], {}],
	])(
		"clean-all %s, though there is a terminal",
		async (_name, options, environment: Record<string, string>) => {
			const before = everything();
			const typing = { question: phraseQuestion, answer: `DELETE EVERYTHING${enter}`, environment };
			const { code } = await atTerminal(stack.commandLine(["clean-all", ...options]), typing);
			expect(code).toBe(2);
			expect(everything()).toEqual(before);
		},
	);

	// There may be a stack of that name on this machine, so Docker is kept out of reach: 5 means that nothing was asked.
	test.each([
		["clean-all without --stack", ["clean-all", "--confirm", "DELETE EVERYTHING"], 2],
		["but clean-cache in dev asks nothing", ["clean-cache"], 5],
		["but clean-logs in dev asks nothing", ["clean-logs"], 5],
	])("%s", (_name, args, expected) => {
		const settings = "config:\n  persistent-stack:removalPolicy: remove\n";
		writeFileSync(join(stack.directory, "Pulumi.dev.yaml"), settings);
		const [program, ...line] = stack.commandLine(args).filter((word) => word !== "-s" && word !== stack.name);
		const env = { ...process.env, NODE_OPTIONS: "", DOCKER_HOST: "unix:///nonexistent/docker.sock" };
		const { status, stderr } = spawnSync(program as string, line, { env, encoding: "utf8" });
		expect([status, stderr]).toEqual([expected, expect.stringMatching(/./)]);
	});
});

describe("the right answer removes exactly what it is about", () => {
	test("y removes the cache and nothing else", async () => {
		const { code } = await atTerminal(stack.commandLine(["clean-cache"]), {
			question: yesNoQuestion,
			answer: `y${enter}`,
		});
		expect(code).toBe(0);
		expect(objectsOf(stack.name)).toEqual([
			expect.stringContaining("container"),
			`volume ${stack.volume("postgres-data")}`,
		]);
		expect(docker("exec", `${stack.name}-db`, "cat", "/data/proof")).toBe("kept");
	});

	test("the phrase removes everything, where no safety backup is wanted", async () => {
		const { code, shown } = await atTerminal(stack.commandLine(["clean-all", "--no-safety-backup"]), {
			question: phraseQuestion,
			answer: `DELETE EVERYTHING${enter}`,
		});
		expect(code).toBe(0);
		for (const key of ["postgres-data", "redis-data"] as const) expect(shown).toContain(stack.volume(key));
		expect(objectsOf(stack.name)).toEqual([]);
	});

	test("the volumes that a destroy kept go too, though no engine knows of them any more", async () => {
		docker("rm", "--force", `${stack.name}-db`, `${stack.name}-redis`);
		const record = engineRecordFile(join(stack.directory, ".stack", stack.name));
		rmSync(record);
		stack.configure({ removalPolicy: "retain" });
		await stack.run(["clean-all", "--confirm", "DELETE EVERYTHING"]);
		stack.configure({ removalPolicy: "remove" });
		writeFileSync(record, "local\n");
		expect(objectsOf(stack.name)).toEqual([]);
	});

	test("the phrase removes nothing when the safety backup fails", async () => {
		const before = everything();
		const { code, shown } = await atTerminal(stack.commandLine(["clean-all"]), {
			question: phraseQuestion,
			answer: `DELETE EVERYTHING${enter}`,
		});
		expect(code).toBe(1);
		expect(shown).toMatch(/the safety backup failed, so nothing was deleted: .*backup/);
		expect(shown).toContain("--no-safety-backup");
		expect(everything()).toEqual(before);
	});
});

describe("refused whatever is answered", () => {
	const confirmed = ["clean-all", "--confirm", "DELETE EVERYTHING", "--no-safety-backup"];

	test("clean-all of a protected stack, with the way out", async () => {
		const before = everything();
		stack.configure({ removalPolicy: "protect" });
		const { code, stderr } = await stack.run(confirmed, { mayFail: true });
		stack.configure({ removalPolicy: "remove" });
		expect([code, stderr]).toEqual([1, expect.stringContaining("set removalPolicy: retain or remove")]);
		expect(everything()).toEqual(before);
	});

	test.each([["clean-all"], ["clean-cache"]])(
		"%s while a stranger's container has one of its volumes",
		async (verb) => {
			const before = everything();
			const name = `${stack.name}-stranger`;
			const mount = ["--volume", `${stack.volume("redis-data")}:/data`, "--label", testLabel];
			docker("create", "--name", name, ...mount, stack.baseImage("redis"));
			const args = verb === "clean-all" ? confirmed : [verb, "--yes"];
			const { code, stderr } = await stack.run(args, { mayFail: true });
			docker("rm", name);
			expect(code).toBe(1);
			expect(stderr).toContain(`${name}, which is not of stack ${stack.name}, uses volume`);
			expect(everything()).toEqual(before);
		},
	);

	test("clean while a stranger's container runs on one of its networks", async () => {
		const network = `${stack.name}-edge`;
		docker("network", "create", "--label", owner, "--label", testLabel, network);
		const before = everything();
		const name = `${stack.name}-stranger`;
		const run = ["run", "--detach", "--name", name, "--network", network, "--label", testLabel, "--init"];
		docker(...run, "--entrypoint", "sleep", stack.baseImage("redis"), "600");
		const { code, stderr } = await stack.run(["clean"], { mayFail: true });
		docker("rm", "--force", "--volumes", name);
		expect([code, stderr]).toEqual([
			1,
			expect.stringContaining(`docker network disconnect ${network} ${name}`),
		]);
		expect(everything()).toEqual(before);
	});

	test("what removes data of a stack that was applied from another directory", async () => {
		const before = everything();
		const record = engineRecordFile(join(stack.directory, ".stack", stack.name));
		rmSync(record);
		for (const args of [confirmed, ["clean-cache", "--yes"]]) {
			const { code, stderr } = await stack.run(args, { mayFail: true });
			expect([code, stderr]).toEqual([1, expect.stringContaining("applied from another directory")]);
		}
		writeFileSync(record, "local\n");
		expect(everything()).toEqual(before);
	});

	test("everything while somebody holds the lock, who is named", async () => {
		const before = everything();
		const lock = acquireLock(lockFile(join(stack.directory, "backups"), stack.name), "backup");
		for (const args of [confirmed, ["clean-cache", "--yes"], ["clean"], ["clean-containers"]]) {
			const { code, stderr } = await stack.run(args, { mayFail: true });
			expect([code, stderr]).toEqual([1, expect.stringContaining('"backup"')]);
		}
		lock.release();
		expect(everything()).toEqual(before);
	});
});

describe("--dry-run changes nothing and tells what the verb then does", () => {
	test.each([["clean"], ["clean-containers"], ["clean-cache"], ["clean-logs"], ["clean-all"]])(
		"%s",
		async (verb) => {
			const before = everything();
			const planned = JSON.parse((await stack.run([verb, "--dry-run", "--json"])).stdout);
			expect(everything()).toEqual(before);
			const answers: Record<string, string[]> = {
				"clean-cache": ["--yes"],
				"clean-logs": ["--yes"],
				"clean-all": ["--confirm", "DELETE EVERYTHING", "--no-safety-backup"],
			};
			const done = JSON.parse((await stack.run([verb, "--json", ...(answers[verb] ?? [])])).stdout);
			for (const part of ["containers", "networks", "volumes", "logFiles"])
				expect(planned[part]).toEqual(done[part]);
			expect([planned.dryRun, done.dryRun]).toEqual([true, false]);
		},
	);
});
