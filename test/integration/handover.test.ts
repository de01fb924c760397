/** A stack goes from one engine to the other and back, with the real Pulumi: no object is touched. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, jest, test } from "@jest/globals";
import { serviceNames, volumeCatalogue } from "../../components/catalogue.ts";
import { programDirectory } from "../../components/directories.ts";
import { isPulumiInstalled } from "../../engine/pulumi/pulumi-engine.ts";
import { docker, testLabel } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up, and Pulumi reads all of it.
jest.setTimeout(300_000);

const pulumiInstalled = isPulumiInstalled();
if (!pulumiInstalled) process.stderr.write("there is no pulumi on the PATH: no stack is handed over to it\n");
const live = pulumiInstalled ? test : test.skip;
let stack: TestStack;
/** Secrets of the stack in plain, as its containers find them. */
let secrets: string[];

beforeAll(async () => {
	if (!pulumiInstalled) return;
	stack = await TestStack.create({ mode: "production" });
	await stack.run(["--engine", "local", "up"]);
	stack.sql("create table ledger as select generate_series(1, 1000) as entry");
	stack.inService("backend", "echo kept > /app/media/kept.txt");
	secrets = ["database_password", "redis_password", "django_secret_key"].map((name) =>
		stack.inService("backend", `cat /run/secrets/${name}`),
	);
	expect(new Set(secrets).size).toBe(3);
});

afterAll(() => stack?.cleanUp());

afterEach(() => stack?.configure({ labels: [testLabel] }));

/** Every object with what changes when it is made anew or started again, and what is in it. */
function objects() {
	const inspect = (kind: string, format: string, names: readonly string[]) =>
		docker(kind, "inspect", "--format", format, ...names.map((name) => `${stack.name}-${name}`));
	return {
		containers: inspect("container", "{{.Id}} {{.State.StartedAt}} {{.RestartCount}}", serviceNames),
		volumes: inspect(
			"volume",
			"{{.Name}} {{.CreatedAt}} {{.Labels}}",
			volumeCatalogue.map(({ key }) => key),
		),
		networks: inspect("network", "{{.Id}}", ["edge", "data"]),
		rows: stack.sql("select count(*), sum(entry) from ledger"),
		media: stack.volumeContent(stack.volume("backend-media")),
		redis: stack.inService("redis", "ls -l /data"),
	};
}

const stateDirectory = () => join(stack.directory, ".stack", stack.name);
const record = () => readFileSync(join(stateDirectory(), "applied-by"), "utf8").trim();

/** Plain pulumi, with the backend and passphrase that the command line uses where nobody is logged in. */
function pulumi(...args: string[]) {
	const { status, stdout, stderr } = spawnSync(
		"pulumi",
		[...args, "--stack", stack.name, "--non-interactive"],
		{
			cwd: stack.directory,
			encoding: "utf8",
			env: {
				...process.env,
				NODE_OPTIONS: "",
				PATH: [join(programDirectory, "node_modules", ".bin"), process.env.PATH].join(delimiter),
				PULUMI_SKIP_UPDATE_CHECK: "true",
				PULUMI_BACKEND_URL: `file://${join(stack.directory, ".stack", "pulumi")}`,
				PULUMI_CONFIG_PASSPHRASE_FILE: join(stack.directory, ".stack", "passphrase"),
			},
		},
	);
	return { status, text: `${stdout}${stderr}` };
}

/** Files below the project's state directory in which one of the secrets stands in plain. */
function filesWithSecrets(): string[] {
	return readdirSync(join(stack.directory, ".stack"), { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map(({ parentPath, name }) => join(parentPath, name))
		.filter((file) => {
			const content = readFileSync(file, "latin1");
			return secrets.some((secret) => content.includes(secret));
		});
}

test("without a target, a stack or Pulumi it says what is missing, and changes nothing", async () => {
	const bare = await TestStack.create();
	const handover = async (...options: string[]) => {
		const directories = (process.env.PATH ?? "").split(delimiter);
		const withoutPulumi = directories.filter((directory) => !existsSync(join(directory, "pulumi")));
		const environment = { PATH: withoutPulumi.join(delimiter) };
		return await bare.run(["handover", ...options], { mayFail: true, environment });
	};
	try {
		expect(await handover()).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("handover --to pulumi"),
		});
		expect(await handover("--to", "pulumi")).toMatchObject({
			code: 1,
			stderr: expect.stringContaining("--engine pulumi up"),
		});
		const state = join(bare.directory, ".stack", bare.name);
		mkdirSync(state, { recursive: true });
		writeFileSync(join(state, "applied-by"), "local\n");
		expect(await handover("--to", "local")).toMatchObject({
			code: 0,
			stdout: expect.stringContaining("Nothing to do"),
		});
		expect(await handover("--to", "pulumi")).toMatchObject({
			code: 5,
			stderr: expect.stringContaining("no pulumi on the PATH"),
		});
		expect(readdirSync(state)).toEqual(["applied-by"]);
	} finally {
		bare.cleanUp();
	}
});

live("a stack with settings that are not applied stays where it is", async () => {
	stack.configure({ labels: [testLabel, "not=applied"] });
	const { code, stderr } = await stack.run(["handover", "--to", "pulumi"], { mayFail: true });
	expect(stderr).toMatch(/not applied \(.*stack-db-container.*nothing was changed.*--engine local up/);
	expect(code).toBe(1);
	expect(existsSync(join(stack.directory, ".stack", "pulumi"))).toBe(false);
});

live("where Pulumi would make an object anew, the handover is undone and leaves nothing behind", async () => {
	const settings = readFileSync(stack.settingsFile, "utf8");
	docker("rm", "--force", `${stack.name}-proxy`);
	const before = stack.containerIds();
	const { code, stderr } = await stack.run(["handover", "--to", "pulumi"], { mayFail: true });
	expect(stderr).toMatch(
		/handover was undone.*\n {2}create stack-proxy-container\n.*--engine local up --refresh/,
	);
	expect(code).toBe(1);
	expect(pulumi("stack", "export").text).toContain("no stack named");
	expect(readFileSync(stack.settingsFile, "utf8")).toBe(settings);
	expect(readdirSync(stateDirectory())).not.toContain("handover.json");
	expect(record()).toBe("local");
	expect(stack.containerIds()).toEqual(before);
	await stack.run(["up"]);
});

live("a handover that was killed holds both engines back until it is undone", async () => {
	const before = objects();
	const { child, output } = stack.start(["handover", "--to", "pulumi"]);
	while (!output.stderr.includes("asking Pulumi")) await once(child.stderr, "data");
	process.kill(-(child.pid as number), "SIGKILL");
	await once(child, "close");
	for (const engine of ["local", "pulumi"]) {
		const { code, stderr } = await stack.run(["--engine", engine, "preview"], { mayFail: true });
		expect(stderr).toContain(`./docker-dev.sh -s ${stack.name} handover`);
		expect(code).toBe(1);
	}
	await stack.run(["handover"]);
	expect(pulumi("stack", "export").text).toContain("no stack named");
	expect(objects()).toEqual(before);
	await stack.run(["--engine", "local", "preview", "--expect-no-changes"]);
});

live("the stack goes to Pulumi: same objects, same content, and plain pulumi sees no change", async () => {
	const before = objects();
	const { stdout } = await stack.run(["handover", "--to", "pulumi", "--json"]);
	const { kept, engine } = JSON.parse(stdout) as { kept: string; engine: string };
	expect(engine).toBe("pulumi");
	expect(objects()).toEqual(before);
	expect(record()).toBe("pulumi");
	expect(existsSync(kept)).toBe(true);
	expect(existsSync(join(stateDirectory(), "state.json"))).toBe(false);
	expect(filesWithSecrets()).toEqual([]);

	expect(pulumi("preview", "--expect-no-changes")).toMatchObject({ status: 0 });
	expect(pulumi("preview", "--refresh", "--expect-no-changes")).toMatchObject({ status: 0 });
	const refused = await stack.run(["--engine", "local", "up"], { mayFail: true });
	expect(refused.stderr).toContain("handover --to local");
	await stack.run(["up"]);
	expect(objects()).toEqual(before);
	expect(filesWithSecrets()).toEqual([]);
});

live("and back: same objects, same content, and nothing that a pulumi destroy could find", async () => {
	const before = objects();
	await stack.run(["handover", "--to", "local"]);
	expect(objects()).toEqual(before);
	expect(record()).toBe("local");
	expect(filesWithSecrets()).toEqual([]);
	await stack.run(["preview", "--refresh", "--expect-no-changes"]);

	expect(pulumi("destroy", "--yes", "--skip-preview")).toMatchObject({ status: 0 });
	expect(objects()).toEqual(before);
	await stack.run(["up"]);
	expect(objects()).toEqual(before);
	await stack.run(["destroy", "--yes"]);
});
