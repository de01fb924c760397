/** Uploads to two servers of different make: what arrives, what counts, and that nothing is overwritten. */
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
	CreateMultipartUploadCommand,
	ListMultipartUploadsCommand,
	PutObjectCommand,
} from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { openBucket } from "../../agent/offsite/bucket.ts";
import { fetchCopy } from "../../agent/offsite/fetch.ts";
import { installed, kinds, type S3Server, startServer } from "./s3-servers.ts";
import { type Settings, Workbench } from "./workbench.ts";

const programs = { moto: await installed(kinds.moto), versity: await installed(kinds.versity) };
const modes: Settings[] = [{}, { offsite: { checksumMode: "when_required" } }];
const day = 86_400_000;
const ago = (days: number) => new Date(Date.now() - days * day);

describe.each(["moto", "versity"] as const)("at %s", (kind) => {
	const program = programs[kind];
	const maybe = program ? test : test.skip;
	let server: S3Server;
	let bench: Workbench;
	let number = 0;

	beforeAll(async () => {
		if (program) server = await startServer(kinds[kind], program);
	}, 70_000);
	afterAll(() => server?.stop());
	const fresh = async () => {
		const name = `bucket-${++number}`;
		await server.createBucket(name);
		bench = new Workbench(server, name);
		return bench;
	};
	afterEach(() => bench?.remove());

	maybe.each(modes)(
		"archive and index arrive, in one piece and in parts: %j",
		async (settings) => {
			const { read, stored } = bind(await fresh());
			const small = bench.point(70_001, ago(2));
			const large = bench.point((10 << 20) + 5, ago(1));
			const result = await bench.push(settings);
			expect(result).toMatchObject({ outcome: "success", uploaded: [large, small], waiting: [], copies: 2 });
			expect(await bench.objects()).toEqual([small, `${small}.json`, large, `${large}.json`].sort());
			for (const file of [small, large]) {
				expect((await stored(file)).equals(read(file))).toBe(true);
				expect((await stored(`${file}.json`)).equals(read(`${file}.json`))).toBe(true);
			}
			expect(bench.record()).toMatchObject({
				lastPush: { outcome: "success" },
				lastSuccess: expect.any(String),
			});
			expect(await bench.push(settings)).toMatchObject({ uploaded: [], copies: 2 });
		},
		30_000,
	);

	maybe("what an earlier run left without its index is compared, and not sent again", async () => {
		const { read } = bind(await fresh());
		const file = bench.point((6 << 20) + 1);
		const Key = `persistent-stack/test/${file}`;
		await server.client.send(new PutObjectCommand({ Bucket: bench.bucket, Key, Body: read(file) }));
		expect(await bench.push()).toMatchObject({ outcome: "success", copies: 1 });
		expect(await bench.objects()).toEqual([file, `${file}.json`]);
	});

	maybe("another object at the key is left as it is, and others are uploaded all the same", async () => {
		const { stored } = bind(await fresh());
		const taken = bench.point(1000, ago(1));
		const free = bench.point(1000, ago(2));
		const foreign = Buffer.alloc(1000, "x");
		const Key = `persistent-stack/test/${taken}`;
		await server.client.send(new PutObjectCommand({ Bucket: bench.bucket, Key, Body: foreign }));
		const result = await bench.push();
		expect(result).toMatchObject({
			outcome: "failed",
			failure: "conflict",
			uploaded: [free],
			waiting: [taken],
		});
		expect(result.message).toMatch(/is not the file that is on the disk.*left as it is.*backup push/);
		expect((await stored(taken)).equals(foreign)).toBe(true);
		expect(await bench.objects()).toEqual([free, `${free}.json`, taken].sort());
	});

	maybe("a file on the disk that is not the one that was made is not uploaded", async () => {
		await fresh();
		const [long, changed] = [bench.point(11 << 20, ago(2)), bench.point(5000, ago(1))];
		for (const file of [long, changed]) {
			const bytes = bench.read(file);
			bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
			writeFileSync(join(bench.backups, file), bytes);
		}
		const result = await bench.push();
		expect(result).toMatchObject({ outcome: "failed", failure: "local file", uploaded: [] });
		expect(result.message).toMatch(/is not the one that was made.*nothing of it was uploaded/);
		expect(await bench.objects()).toEqual([]);
		expect(await unfinished()).toEqual([]);
	});

	maybe("what is damaged, without an index or another stack's is no candidate", async () => {
		await fresh();
		const shorter = bench.point(1000, ago(1));
		appendFileSync(join(bench.backups, shorter), "more");
		const lost = bench.point(1000, ago(2));
		rmSync(join(bench.backups, `${lost}.json`));
		bench.point(1000, ago(3), { stack: "other" });
		expect(await bench.push()).toMatchObject({ outcome: "success", uploaded: [], waiting: [] });
		expect(await bench.objects()).toEqual([]);
	});

	maybe("unfinished uploads of the stack are aborted, another stack's are not", async () => {
		await fresh();
		for (const stack of ["test", "test2"]) {
			await server.client.send(
				new CreateMultipartUploadCommand({ Bucket: bench.bucket, Key: `persistent-stack/${stack}/left` }),
			);
		}
		const result = await bench.push();
		expect(result.warnings).toEqual([expect.stringContaining("persistent-stack/test/left")]);
		expect(await unfinished()).toEqual(["persistent-stack/test2/left"]);
	});

	maybe(
		"only what is old is superseded, archive and index, and never the floor or another stack's",
		async () => {
			await fresh();
			const files = [200, 150, 120, 100, 10, 2, 1].map((days) => bench.point(1000, ago(days)));
			// All of them are there from the time when they were young.
			await bench.push({ offsite: { retentionDays: 400 } });
			bench.point(1000, ago(300), { stack: "other" });
			await bench.push({ stack: "other" });
			const result = await bench.push({ minimumCopies: 4 });
			expect(result).toMatchObject({ outcome: "success", superseded: files.slice(0, 3), copies: 7 });
			for (const [at, file] of files.entries()) {
				for (const name of [file, `${file}.json`])
					expect(await bench.tags(name)).toEqual(at < 3 ? { superseded: "true" } : {});
			}
			// What may go is not uploaded a second time, wherever it went.
			expect(await bench.push({ minimumCopies: 4 })).toMatchObject({ uploaded: [], superseded: [] });
			// The floor is raised: what carries the mark is needed again.
			await bench.push({ minimumCopies: 6 });
			expect(await bench.tags(files[2] as string)).toEqual({ superseded: "false" });
			expect(await bench.tags(files[1] as string)).toEqual({ superseded: "false" });
			expect(await bench.tags(files[0] as string)).toEqual({ superseded: "true" });
		},
	);

	maybe(
		"a copy is fetched into an empty directory byte for byte, and nothing there is overwritten",
		async () => {
			await fresh();
			const file = bench.point((10 << 20) + 3);
			await bench.push();
			const before = [bench.read(file), bench.read(`${file}.json`)];
			const address = `s3://${bench.bucket}/persistent-stack/test/${file}`;
			for (const name of [file, `${file}.json`]) rmSync(join(bench.backups, name));
			const fetchIt = () => {
				const context = bench.context();
				return fetchCopy(context, openBucket(context.config, context.signal), address);
			};
			expect(await fetchIt()).toMatchObject({ url: address, wasHere: false });
			const after = [bench.read(file), bench.read(`${file}.json`)];
			expect(after.map((bytes, at) => bytes.equals(before[at] as Buffer))).toEqual([true, true]);
			expect(await fetchIt()).toMatchObject({ wasHere: true });
			writeFileSync(join(bench.backups, file), "mine");
			await expect(fetchIt()).rejects.toThrow(/is not what is in the bucket; it was left as it is/);
			expect(bench.read(file).toString()).toBe("mine");
		},
	);

	async function unfinished(): Promise<string[]> {
		const command = new ListMultipartUploadsCommand({ Bucket: bench.bucket });
		const { Uploads = [] } = await server.client.send(command);
		return Uploads.map(({ Key = "" }) => Key).sort();
	}
});

function bind(bench: Workbench) {
	return { read: bench.read.bind(bench), stored: bench.stored.bind(bench) };
}
