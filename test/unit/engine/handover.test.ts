/** The record of a stack in the form of the other engine; what Pulumi makes of it is shown by test/integration. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import {
	emptied,
	imageType,
	type PulumiDeployment,
	refuseUnfinished,
	toLocalResources,
	toPulumiDeployment,
} from "../../../engine/handover/deployments.ts";
import type { Resource } from "../../../engine/local/state.ts";
import { secret } from "../../../engine/local/values.ts";
import { contextDigest as digestOf } from "../../../images/context.ts";

const mark = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
const urn = (name: string) => `urn:pulumi:dev::persistent-stack::t::${name}`;

function resource(name: string, parts: Partial<Resource> = {}): Resource {
	return { urn: urn(name), type: "t", custom: true, id: name, inputs: {}, outputs: {}, ...parts };
}

/** What Pulumi exports of a stack that has just been made. */
const empty: PulumiDeployment = {
	version: 3,
	deployment: {
		manifest: { time: "2026-01-01T00:00:00Z", magic: "m", version: "3.259.0" },
		secrets_providers: { type: "cloud", state: { url: "awskms://key" } },
		metadata: {},
	},
};

const options = { stateDirectory: "/state", digests: new Map<string, string>() };

const uploads = (content: ReturnType<typeof secret> | Record<string, string>) => [
	{ file: "/run/x", content },
];

test("Pulumi gets every resource, in order, with secrets that it can read and encrypts in its own way", () => {
	const resources = [
		resource("a", { outputs: { result: secret("pass\nword") } }),
		resource("b", { dependencies: [urn("a")], inputs: { uploads: uploads(secret("pass\nword")) } }),
	];
	expect(toPulumiDeployment(empty, resources, options)).toEqual({
		version: 3,
		deployment: {
			...empty.deployment,
			resources: [
				resource("a", { outputs: { result: { ...mark, plaintext: '"pass\\nword"' } } }),
				resource("b", {
					dependencies: [urn("a")],
					inputs: { uploads: uploads({ ...mark, plaintext: '"pass\\nword"' }) },
				}),
			],
		},
	});
});

test("secrets inside of secrets are opened as well", () => {
	const nested = resource("a", { outputs: { all: secret({ one: secret(1), two: [secret("x")] }) } });
	const { resources } = toPulumiDeployment(empty, [nested], options).deployment;
	expect(resources?.[0]?.outputs).toEqual({ all: { ...mark, plaintext: '{"one":1,"two":["x"]}' } });
});

test("the local engine gets secrets sealed again, without the notes of Pulumi's providers", async () => {
	const exported = {
		...resource("a", {
			inputs: { __defaults: [], uploads: [{ __defaults: ["x"], content: { ...mark, plaintext: '"s"' } }] },
			outputs: { __meta: '{"schema_version":"3"}', result: { ...mark, plaintext: '{"k":[1]}' } },
		}),
		sourcePosition: "project:///index.ts#1,1",
		additionalSecretOutputs: ["result"],
	};
	expect(await toLocalResources([exported], options)).toEqual([
		resource("a", {
			inputs: { uploads: [{ content: secret("s") }] },
			outputs: { result: secret({ k: [1] }) },
		}),
	]);
});

test("the command that writes down the engine would, run again, write down the new one", async () => {
	const environment = (engine: string, record = "/state/applied-by") => ({
		environment: { ENGINE: engine, RECORD: record },
	});
	const command = (engine: string) =>
		resource("record", {
			type: "command:local:Command",
			inputs: environment(engine),
			outputs: { ...environment(engine), stdout: "" },
		});
	const { resources } = toPulumiDeployment(empty, [command("local")], options).deployment;
	expect(resources).toEqual([command("pulumi")]);
	expect(await toLocalResources([command("pulumi")], options)).toEqual([command("local")]);
	const other = resource("o", { type: "command:local:Command", inputs: environment("mine", "/elsewhere") });
	expect(await toLocalResources([other], options)).toEqual([other]);
});

test("Pulumi's providers find what they would have noted themselves", () => {
	const build = { context: "/src", dockerfile: "Dockerfile", contextDigest: "by the local engine" };
	const image = resource("image", {
		type: imageType,
		inputs: { build },
		outputs: { build, repoDigest: "sha256:1" },
	});
	const container = resource("c", { type: "docker:index/container:Container", outputs: { name: "app-db" } });
	const password = resource("p", {
		type: "random:index/randomPassword:RandomPassword",
		outputs: { length: 40 },
	});
	const digests = new Map([[image.urn, "by Pulumi"]]);
	const { deployment } = toPulumiDeployment(empty, [image, container, password], { ...options, digests });
	const outputs = (deployment.resources ?? []).map((converted) => converted.outputs);
	const builtAnew = { build: { ...build, contextDigest: "by Pulumi" } };
	expect(deployment.resources?.[0]?.inputs).toEqual(builtAnew);
	expect(outputs).toEqual([
		{ ...builtAnew, repoDigest: "sha256:1", __inputs: { ...mark, plaintext: JSON.stringify(builtAnew) } },
		{
			name: "app-db",
			...{ attach: false, logs: false, start: true, removeVolumes: true },
			containerReadRefreshTimeoutMilliseconds: 15_000,
		},
		{ length: 40, id: "none" },
	]);
});

test("the local engine gets no default that a provider has added, and its own digest of a build's sources", async () => {
	const directory = mkdtempSync(join(tmpdir(), "handover-"));
	try {
		writeFileSync(join(directory, "Dockerfile"), "FROM scratch\n");
		const build = { context: directory, dockerfile: "Dockerfile" };
		const inputs = { build: { ...build, contextDigest: "by Pulumi" }, skipPush: true };
		const outputs = { repoDigest: "sha256:1", __inputs: { ...mark, plaintext: JSON.stringify(inputs) } };
		const image = resource("image", { type: imageType, inputs, outputs });
		const network = resource("network", {
			inputs: {
				__defaults: ["ipamDriver"],
				ipamDriver: "default",
				name: "app-edge",
				secrets: { ...mark, plaintext: '[{"__defaults":["executable"],"executable":false,"content":"s"}]' },
			},
		});
		const contextDigest = await digestOf(build);
		const own = { build: { ...build, contextDigest }, skipPush: true };
		expect(await toLocalResources([image, network], options)).toEqual([
			{ ...image, inputs: own, outputs: { ...own, repoDigest: "sha256:1" } },
			{ ...network, inputs: { name: "app-edge", secrets: secret([{ content: "s" }]) } },
		]);
	} finally {
		rmSync(directory, { recursive: true });
	}
});

test("an emptied deployment keeps what Pulumi needs to encrypt", () => {
	const full = { version: 3, deployment: { ...empty.deployment, resources: [resource("a")] } };
	expect(emptied(full)).toEqual({
		version: 3,
		deployment: { ...empty.deployment, resources: [], pending_operations: [] },
	});
});

test.each([
	["a creation that was interrupted", [resource("a")], [urn("b")], /\(b\)/],
	["a replaced object still to be deleted", [resource("a", { delete: true })], [], /\(a\)/],
	["an object whose creation failed", [resource("c", { initErrors: ["no"] })], [], /\(c\)/],
])("%s is finished by the engine that began it", (_what, resources, interrupted, names) => {
	const refuse = () => refuseUnfinished(resources, interrupted, { stack: "dev", engine: "local" });
	expect(refuse).toThrow(names);
	expect(refuse).toThrow("./docker-dev.sh -s dev --engine local up");
	expect(() => refuseUnfinished([resource("a")], [], { stack: "dev", engine: "local" })).not.toThrow();
});
