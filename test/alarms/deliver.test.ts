/** Delivery to a real server on the loopback address: bounded, in order, and silent about the address. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { deliver } from "../../agent/alarms/deliver.ts";
import { type AlarmFile, type AlarmTarget, readAlarms } from "../../recovery/alarm-file.ts";

interface Request {
	readonly method: string;
	readonly url: string;
	readonly type: string;
	readonly body: string;
}

let requests: Request[] = [];
let answer: (path: string) => number | "hang" | "cut" = () => 200;
let server: Server;
const directory = mkdtempSync(join(tmpdir(), "deliver-"));
const files = { webhook: join(directory, "webhook"), ping: join(directory, "ping") };
const said: string[] = [];

beforeAll(async () => {
	server = createServer(async (request, response) => {
		let body = "";
		for await (const chunk of request) body += chunk;
		const { method = "", url = "", headers } = request;
		requests.push({ method, url, type: headers["content-type"] ?? "", body });
		const status = answer(url);
		if (status === "cut") return request.socket.destroy();
		if (status !== "hang") response.writeHead(status).end("x".repeat(100_000));
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const { port } = server.address() as AddressInfo;
	writeFileSync(files.webhook, `http://127.0.0.1:${port}/services/THE-SECRET?channel=a\n`);
	writeFileSync(files.ping, `http://127.0.0.1:${port}/ping/THE-SECRET/`);
});
afterAll(() => {
	server.closeAllConnections();
	server.close();
	rmSync(directory, { recursive: true });
});
afterEach(() => {
	requests = [];
	said.length = 0;
	answer = () => 200;
});

const start = new Date("2026-03-01T00:00:00Z");
const nothing = await readAlarms("/nowhere", "none");

function filled(...messages: readonly (readonly [AlarmTarget, good: boolean, body: string])[]): AlarmFile {
	const outbox = messages.map(([target, good, body]) => ({
		...{ target, good, body },
		tries: 0,
		at: start.toISOString(),
	}));
	return { ...nothing, outbox };
}

function send(alarms: AlarmFile, now = start, to: Partial<typeof files> = files): Promise<AlarmFile> {
	const signal = new AbortController().signal;
	return deliver(alarms, { files: to, retrySeconds: [5, 30], signal, warn: (text) => said.push(text) }, now);
}

test("posts JSON to the webhook, and what happened to the ping, failures at /fail", async () => {
	const sent = await send(
		filled(["webhook", false, '{"text":"x"}'], ["ping", true, "good"], ["ping", false, "bad"]),
	);
	expect(requests).toEqual([
		{ method: "POST", url: "/services/THE-SECRET?channel=a", type: "application/json", body: '{"text":"x"}' },
		{ method: "POST", url: "/ping/THE-SECRET/", type: "text/plain; charset=utf-8", body: "good" },
		{ method: "POST", url: "/ping/THE-SECRET/fail", type: "text/plain; charset=utf-8", body: "bad" },
	]);
	expect(sent).toMatchObject({
		outbox: [],
		deliveries: { webhook: { delivered: 1 }, ping: { delivered: 2 } },
	});
});

test.each([
	["an answer of 500", 500, "it answers HTTP 500"],
	["an answer of 404", 404, "it answers HTTP 404"],
	["a connection that is cut", "cut", /^it cannot be reached \((UND_ERR_SOCKET|ECONNRESET)\)$/],
] as const)("%s is tried again, twice, and then given up", async (_, status, problem) => {
	answer = () => status;
	let alarms = filled(["webhook", false, "{}"]);
	for (const [seconds, tries, left] of [
		[0, 1, 1],
		[4, 1, 1],
		[5, 2, 1],
		[34, 2, 1],
		[35, 3, 0],
	] as const) {
		alarms = await send(alarms, new Date(start.getTime() + seconds * 1000));
		expect([seconds, requests.length, alarms.outbox.length]).toEqual([seconds, tries, left]);
	}
	expect(alarms.deliveries.webhook).toMatchObject({
		delivered: 0,
		givenUp: 1,
		problem: typeof problem === "string" ? problem : expect.stringMatching(problem),
	});
	expect(said).toEqual([
		expect.stringMatching(/^a message to the alarm webhook was given up after 3 tries: /),
	]);
	expect(JSON.stringify([alarms, said])).not.toMatch(/THE-SECRET|127\.0\.0\.1/);
});

test("messages to one address keep their order, and do not hold up the other's", async () => {
	answer = (path) => (path.startsWith("/services") ? 503 : 200);
	const alarms = await send(filled(["webhook", false, "1"], ["webhook", false, "2"], ["ping", true, "3"]));
	expect(requests.map(({ body }) => body)).toEqual(["1", "3"]);
	answer = () => 200;
	requests = [];
	const early = await send(alarms, new Date(start.getTime() + 1000));
	expect([requests, early.outbox.length]).toEqual([[], 2]);
	const later = await send(alarms, new Date(start.getTime() + 6000));
	expect(requests.map(({ body }) => body)).toEqual(["1", "2"]);
	expect(later.deliveries.webhook).toEqual({ delivered: 2, givenUp: 0 });
});

test("a server that never answers costs ten seconds", async () => {
	answer = () => "hang";
	const began = Date.now();
	const alarms = await send(filled(["ping", true, "x"]));
	expect(alarms.deliveries.ping.problem).toBe("no answer within 10 s");
	expect(Date.now() - began).toBeLessThan(12_000);
}, 20_000);

test("an address that is gone, or none, is said by its file alone", async () => {
	const wrong = join(directory, "wrong");
	writeFileSync(wrong, "THE-SECRET");
	const problems = [];
	for (const webhook of [wrong, join(directory, "missing")]) {
		const { deliveries } = await send(filled(["webhook", false, "{}"]), start, { webhook });
		problems.push(deliveries.webhook.problem);
	}
	expect(problems).toEqual([
		`${wrong} does not hold an address`,
		expect.stringMatching(/missing cannot be read \(ENOENT\); run up/),
	]);
	expect((await send(filled(["ping", true, "x"]), start, {})).outbox).toEqual([]);
});
