// The choice of base images against an engine that is a script: what the registry says is made up here.
// That the stand-ins themselves work is proved by stand-in-contracts.test.ts.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { recordFile } from "../../cli/setup/image-record.ts";
import { ensureImages, imagesOf } from "../../cli/setup/images.ts";
import { classify } from "../../cli/setup/registry.ts";
import type { Report } from "../../cli/setup/report.ts";

const outage = {
	status: 500,
	body: '{"message":"Get \\"https://registry.invalid/v2/\\": dial tcp: lookup: no such host"}',
};
const delivers = { status: 200, body: "{}" };
const unknown = { status: 404, body: '{"message":"manifest unknown: manifest unknown"}' };

let directory: string;
let server: Server;
let registry: { status: number; body: string };
let asked: string[];
let said: string[];
const held = new Set<string>();
const report: Report = {
	say: (text) => said.push(text),
	step: () => ({ detail: () => {}, done: () => {}, failed: () => {} }),
};
const ensure = (choice?: "official" | "stand-in") =>
	ensureImages({
		stackDirectory: join(directory, "dev"),
		choice,
		report,
		host: `unix://${join(directory, "engine.sock")}`,
		environment: {},
	});

beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), "image-choice-"));
	asked = [];
	said = [];
	held.clear();
	// The engine holds every stand-in, so that none is built in this test.
	for (const name of Object.values(imagesOf("stand-in"))) held.add(name);
	server = createServer((request, response) => {
		const url = request.url ?? "";
		asked.push(url);
		const image = /^\/images\/(.*)\/json$/.exec(url)?.[1];
		const answer = image === undefined ? registry : { status: held.has(image) ? 200 : 404, body: "{}" };
		response.writeHead(answer.status).end(answer.body);
	});
	await new Promise<void>((resolve) => server.listen(join(directory, "engine.sock"), resolve));
});
afterEach(async () => {
	await new Promise((resolve) => server.close(resolve));
	rmSync(directory, { recursive: true });
});

test("official images are chosen where the registry delivers them, and the choice is recorded", async () => {
	registry = delivers;
	expect(await ensure()).toEqual({ schemaVersion: 1, source: "official", images: imagesOf("official") });
	expect(JSON.parse(readFileSync(recordFile(join(directory, "dev")), "utf8")).source).toBe("official");
});

test("stand-ins are chosen where no registry can be reached, and the run says so with the reason", async () => {
	registry = outage;
	expect((await ensure()).source).toBe("stand-in");
	expect(said.join("\n")).toMatch(/No registry can be reached .*no such host.*\n.*stand-ins/);
});

test("an outage after the choice changes nothing and the registry is not even asked", async () => {
	registry = delivers;
	await ensure();
	registry = outage;
	asked = [];
	expect((await ensure()).source).toBe("official");
	expect(asked.filter((url) => url.startsWith("/distribution/"))).toEqual([]);
});

test("a registry that comes back after the choice of stand-ins changes nothing either", async () => {
	registry = outage;
	await ensure();
	registry = delivers;
	expect((await ensure()).source).toBe("stand-in");
});

test("a registry that answers but lacks the image is an error, and nothing is recorded", async () => {
	registry = unknown;
	await expect(ensure()).rejects.toMatchObject({
		name: "StackError",
		exitCode: 1,
		fix: expect.stringContaining("docker pull"),
	});
	expect(() => readFileSync(recordFile(join(directory, "dev")))).toThrow(/ENOENT/);
});

test("official images that were loaded by hand are used without asking anybody", async () => {
	registry = outage;
	for (const name of Object.values(imagesOf("official"))) held.add(name);
	expect((await ensure()).source).toBe("official");
	expect(asked.filter((url) => url.startsWith("/distribution/"))).toEqual([]);
});

test("an explicit choice wins over the record, is recorded, and the change is said", async () => {
	registry = delivers;
	await ensure();
	expect((await ensure("stand-in")).source).toBe("stand-in");
	expect(said.join("\n")).toMatch(/stand-in from now on, as asked; recorded so far: official/);
	expect((await ensure()).source).toBe("stand-in");
});

test.each([
	[200, "{}", "has-it"],
	[429, "{}", "has-it"],
	[500, '{"message":"toomanyrequests: You have reached your pull rate limit"}', "has-it"],
	[500, '{"message":"errors:\\ndenied: requested access to the resource is denied"}', "lacks-it"],
	[401, '{"message":"unauthorized: authentication required"}', "lacks-it"],
	[404, '{"message":"manifest unknown"}', "lacks-it"],
	[500, '{"message":"x509: certificate signed by unknown authority"}', "unreachable"],
	[500, '{"message":"net/http: request canceled while waiting for connection"}', "unreachable"],
])("the engine's answer %i %s means that the registry %s", (status, body, kind) => {
	expect(classify(status, body).kind).toBe(kind);
});
