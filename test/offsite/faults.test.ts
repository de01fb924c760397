/**
 * Faults on the way to the bucket, at every request: whatever happens, nothing in it looks complete that is not,
 * nothing unfinished is left, the failure is named, and the next run brings what is missing.
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	AbortMultipartUploadCommand,
	DeleteBucketCommand,
	ListMultipartUploadsCommand,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { AgentError } from "../../agent/failure.ts";
import * as commands from "../../agent/offsite/commands.ts";
import { parseIndex } from "../../recovery/index-file.ts";
import { type Fault, FaultProxy, type Seen } from "./fault-proxy.ts";
import { installed, keys, kinds, type S3Server, startServer } from "./s3-servers.ts";
import { type Settings, Workbench } from "./workbench.ts";

const program = await installed(kinds.versity);
const suite = program ? describe : describe.skip;

/** Three parts. */
const size = (10 << 20) + 7;

let server: S3Server;
let proxy: FaultProxy;
let endpoint: string;
let bench: Workbench;
let file: string;
let number = 0;

beforeAll(async () => {
	if (!program) return;
	server = await startServer(kinds.versity, program);
	proxy = new FaultProxy(server);
	endpoint = await proxy.start();
}, 70_000);
afterAll(async () => {
	await proxy?.stop();
	await server?.stop();
});
beforeEach(async () => {
	if (!program) return;
	const bucket = `bucket-${++number}`;
	await server.createBucket(bucket);
	bench = new Workbench(server, bucket, endpoint);
	file = bench.point(size);
});
afterEach(() => {
	proxy?.reset();
	jest.restoreAllMocks();
	bench?.remove();
});

/** What holds after every run, good or bad. */
async function nothingLies(): Promise<void> {
	const names = await bench.objects();
	for (const name of names.filter((one) => one.endsWith(".json"))) {
		const archive = name.slice(0, -".json".length);
		const index = parseIndex((await bench.stored(name)).toString(), archive);
		const bytes = await bench.stored(archive);
		expect(createHash("sha256").update(bytes).digest("hex")).toBe(index?.sha256);
	}
}

async function unfinished() {
	const command = new ListMultipartUploadsCommand({ Bucket: bench.bucket });
	return (await server.client.send(command)).Uploads ?? [];
}

/** A push that fails in this way, leaves nothing that counts, and is made good by the next one. */
async function failsAndMends(failure: string, message: RegExp, settings: Settings = {}): Promise<void> {
	const result = await bench.push(settings);
	expect(result.message).toMatch(message);
	expect(result).toMatchObject({ outcome: "failed", failure, waiting: [file] });
	expect(bench.record().lastPush).toMatchObject({ outcome: "failed", failure, waiting: [file] });
	proxy.reset();
	jest.restoreAllMocks();
	bench.writeKey();
	await nothingLies();
	expect(await unfinished()).toEqual([]);
	expect(await bench.push()).toMatchObject({ outcome: "success", waiting: [], copies: 1 });
	await nothingLies();
}

/** A fault at one kind of request, so many times. */
const at =
	(operation: string, part: number, fault: Fault, times = Number.POSITIVE_INFINITY) =>
	(seen: Seen) =>
		seen.operation === operation && seen.part === part && seen.time <= times ? fault : undefined;

const requests: [operation: string, part: number][] = [
	["List", 0],
	["ListMultipartUploads", 0],
	["HeadArchive", 0],
	["CreateMultipartUpload", 0],
	["UploadPart", 1],
	["UploadPart", 2],
	["UploadPart", 3],
	["CompleteMultipartUpload", 0],
	["PutIndex", 0],
	["GetIndex", 0],
];
const passing: Fault[] = [
	{ answer: 500, code: "InternalError" },
	{ answer: 503, code: "SlowDown" },
	{ cutRequestAfter: 100_000 },
	"lose the answer",
];
const injected: Fault = { answer: 500, code: "InternalError" };

suite("a fault that passes is got over", () => {
	const cases = requests.flatMap(([operation, part]) =>
		passing.map((fault) => [operation, part, fault] as const),
	);
	test.each(cases)("%s %d: %j", async (operation, part, fault) => {
		proxy.fault = at(operation, part, fault, 2);
		const result = await bench.push();
		expect(result.message).toBeUndefined();
		expect(result).toMatchObject({ outcome: "success", waiting: [], copies: 1 });
		expect(proxy.seen.filter((seen) => fault === proxy.fault(seen)).length).toBeGreaterThanOrEqual(1);
		await nothingLies();
		// A beginning whose answer was lost is not known to have begun: the next run finds and aborts it.
		proxy.reset();
		await bench.push();
		expect(await unfinished()).toEqual([]);
	});
});

suite("a fault that stays fails the run", () => {
	test.each(requests)("%s %d: 500 every time", async (operation, part) => {
		proxy.fault = at(operation, part, injected);
		await failsAndMends("server", /the server of s3:.* fails \(InternalError: injected, after \d+ tries\)/);
	});

	test.each(["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])(
		"%s: the connection is cut every time",
		async (operation) => {
			proxy.fault = (seen) => (seen.operation === operation ? { cutRequestAfter: 1 } : undefined);
			await failsAndMends("unreachable", /cannot be reached, or the connection was cut/);
		},
	);

	test("an upload that cannot even be aborted is aborted by the next run", async () => {
		proxy.fault = ({ operation, part }) =>
			part === 3 || operation === "AbortMultipartUpload" ? injected : undefined;
		expect(await bench.push()).toMatchObject({ outcome: "failed", failure: "server" });
		expect(await unfinished()).toHaveLength(1);
		proxy.reset();
		const { warnings, outcome } = await bench.push();
		expect([outcome, warnings]).toEqual([
			"success",
			[expect.stringMatching(/unfinished uploads .* were aborted/)],
		]);
		expect(await unfinished()).toEqual([]);
		await nothingLies();
	});

	const said: [string, string, RegExp, Fault | (() => unknown), Settings?][] = [
		[
			"a clock that differs",
			"clock",
			/its clock is 3 hours ahead of the server's \(RequestTimeTooSkewed.*timedatectl/,
			{ answer: 403, code: "RequestTimeTooSkewed", date: new Date(Date.now() - 3 * 3_600_000).toUTCString() },
		],
		[
			"an unknown key",
			"credentials",
			/does not know the access key.*offsiteCredentials/,
			() => bench.writeKey({ ...keys, accessKeyId: "nobody" }),
		],
		[
			"a wrong secret",
			"credentials",
			/secret key does not belong to the access key/,
			() => bench.writeKey({ ...keys, secretAccessKey: "wrong" }),
		],
		["no key at all", "credentials", /there is no key for s3:/, () => rmSync(bench.credentials)],
		[
			"a key that expired",
			"credentials",
			/the key for .* has expired/,
			{ answer: 400, code: "ExpiredToken" },
		],
		["missing rights", "permission", /rights are not enough/, { answer: 403, code: "AccessDenied" }],
		["a key of KMS that is off", "encryption key", /enabled/, { answer: 400, code: "KMS.DisabledException" }],
		["another region", "region", /mend offsiteRegion/, () => undefined, { offsite: { region: "eu-west-1" } }],
		[
			"nobody at the address",
			"unreachable",
			/cannot be reached.*ECONNREFUSED/,
			() => undefined,
			{ offsite: { endpoint: "http://127.0.0.1:1" } },
		],
		[
			"no such host",
			"unreachable",
			/cannot be reached.*ENOTFOUND|EAI_AGAIN/,
			() => undefined,
			{ offsite: { endpoint: "http://nowhere.invalid" } },
		],
	];
	test.each(said)("%s is told apart", async (_, failure, message, fault, settings) => {
		if (typeof fault === "function") fault();
		else proxy.fault = () => fault;
		await failsAndMends(failure, message, settings);
	});

	test("rights that end in the middle of an upload", async () => {
		proxy.fault = at("UploadPart", 2, { answer: 403, code: "AccessDenied" });
		await failsAndMends("permission", /rights are not enough/);
	});

	test("a bucket that vanishes in the middle of an upload", async () => {
		proxy.fault = ({ operation, part, time }) => {
			if (operation === "UploadPart" && part === 2 && time === 1) return { before: deleteBucket };
			return undefined;
		};
		const result = await bench.push();
		expect(result).toMatchObject({ outcome: "failed", failure: "bucket", waiting: [file] });
		expect(result.message).toMatch(/does not exist, or not any more.*docker-dev.sh up/);
		await server.createBucket(bench.bucket);
		proxy.reset();
		expect(await bench.push()).toMatchObject({ outcome: "success", copies: 1 });
		await nothingLies();
	});
});

suite("what the way does to bytes and time", () => {
	test("a clock that is wrong does not stop the upload, and is said", async () => {
		const real = Date.now;
		jest.spyOn(Date, "now").mockImplementation(() => real() + 5 * 3_600_000);
		const result = await bench.push();
		expect(result).toMatchObject({ outcome: "success", uploaded: [file] });
		expect(result.warnings).toEqual([expect.stringMatching(/clock of this host is 5 hours ahead of/)]);
		await nothingLies();
	});

	test.each([1, 2, 3])("a part %d that is changed on the way is refused", async (part) => {
		proxy.fault = at("UploadPart", part, "flip a bit");
		await failsAndMends("transfer", /bytes were changed on the way/);
	});

	test("where the server keeps no checksum, the copy is read back before it counts", async () => {
		proxy.fault = ({ operation }) => (operation === "HeadArchive" ? "hide checksums" : undefined);
		expect(await bench.push()).toMatchObject({ outcome: "success", copies: 1 });
		expect(proxy.count("GetArchive")).toBe(1);
	});

	test("a copy that does not read back as it was sent gets no index", async () => {
		proxy.fault = ({ operation }) =>
			operation === "HeadArchive" ? "hide checksums" : operation === "GetArchive" ? "flip a bit" : undefined;
		const result = await bench.push();
		expect(result).toMatchObject({ outcome: "failed", failure: "conflict", waiting: [file] });
		expect(result.message).toMatch(/is not the file that was sent there.*counts for nothing/);
		expect(await bench.objects()).toEqual([file]);
		// It was the way, not the copy: the next run reads it well, and it counts.
		proxy.reset();
		expect(await bench.push()).toMatchObject({ outcome: "success", copies: 1 });
	});

	test("a slow link is no failure, and a connection that carries nothing is one", async () => {
		proxy.fault = ({ operation, part, time }) =>
			operation !== "UploadPart"
				? undefined
				: part === 1 && time === 1
					? { before: () => new Promise(() => undefined) }
					: { slow: 1_500_000 };
		const result = await bench.push({ offsite: { idleSeconds: 1 } });
		expect(result).toMatchObject({ outcome: "success", copies: 1 });
		expect(proxy.seen.some(({ operation, time }) => operation === "UploadPart" && time === 2)).toBe(true);
	});

	test("a run that is ended aborts its upload, and the next one begins anew", async () => {
		proxy.fault = at("UploadPart", 3, { before: () => new Promise(() => undefined) });
		const going = bench.push();
		while (proxy.count("UploadPart") < 3) await sleep(10);
		bench.stop.abort(new AgentError("the run was ended by SIGTERM"));
		expect(await going).toMatchObject({ outcome: "failed", message: expect.stringContaining("SIGTERM") });
		expect(await unfinished()).toEqual([]);
		proxy.reset();
		expect(await bench.push()).toMatchObject({ outcome: "success", uploaded: [file] });
	});

	test("two at once do not upload the same", async () => {
		const [one, other] = await Promise.allSettled([bench.push(), bench.push()]);
		expect([one, other].map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
		expect(proxy.count("CompleteMultipartUpload")).toBe(1);
	});
});

suite("reading copies back", () => {
	const all = { latest: false, all: false };
	const forget = () => {
		for (const name of [file, `${file}.json`]) rmSync(join(bench.backups, name));
	};

	test("a download that is cut again and again is taken up where it ended", async () => {
		await bench.push();
		const bytes = bench.read(file);
		forget();
		proxy.fault = ({ operation, time }) =>
			operation === "GetArchive" && time <= 9 ? { cutAnswerAfter: 1_000_000 } : undefined;
		await commands.fetch(bench.context(), [file], all);
		expect(proxy.count("GetArchive")).toBe(10);
		expect(bench.read(file).equals(bytes)).toBe(true);
	});

	test("a copy that arrives changed is not kept, and the exit code says so", async () => {
		await bench.push();
		forget();
		proxy.fault = ({ operation }) => (operation === "GetArchive" ? "flip a bit" : undefined);
		const fetching = commands.fetch(bench.context(), [file], all);
		await expect(fetching).rejects.toMatchObject({
			exitCode: 7,
			message: expect.stringContaining("DAMAGED"),
		});
		expect(bench.directoryEntries()).toEqual([".test.offsite.json"]);
	});

	test("a damaged copy is found, and does not count from then on", async () => {
		await bench.push();
		const good = await commands.verify(bench.context(), [file], all);
		expect(good).toMatchObject({ exitCode: 0, value: [{ file, ok: true, problems: [] }] });
		expect(bench.record().copies[0]?.checked?.ok).toBe(true);
		proxy.fault = ({ operation }) => (operation === "GetArchive" ? "flip a bit" : undefined);
		const bad = await commands.verify(bench.context(), [], { latest: false, all: true });
		expect(bad).toMatchObject({ exitCode: 7, text: expect.stringMatching(/DAMAGED: its SHA-256 is/) });
		proxy.reset();
		expect(await bench.push()).toMatchObject({ copies: 0 });
		const { value } = await commands.list(bench.context(), all);
		expect(value).toMatchObject({ copies: [{ file, good: false }] });
	});

	test("what has no index cannot be fetched, nor anything that is no recovery point", async () => {
		proxy.fault = at("PutIndex", 0, injected);
		await bench.push();
		proxy.reset();
		forget();
		const fetching = (name: string) => commands.fetch(bench.context(), [name], all);
		await expect(fetching(file)).rejects.toThrow(/there is no whole copy .* it has no index/);
		await expect(fetching("s3://bucket/notes.txt")).rejects.toThrow(/does not name a recovery point/);
		await expect(commands.fetch(bench.context(), [], { latest: true, all: false })).rejects.toThrow(
			/there is no good copy in s3:/,
		);
	});
});

async function deleteBucket(): Promise<void> {
	for (const { Key, UploadId } of await unfinished())
		await server.client.send(new AbortMultipartUploadCommand({ Bucket: bench.bucket, Key, UploadId }));
	await server.client.send(new DeleteBucketCommand({ Bucket: bench.bucket }));
}
