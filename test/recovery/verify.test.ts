import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { ArchiveWriter } from "../../agent/archive-writer.ts";
import { tarEnd, tarHeader, tarPadding } from "../../agent/tar-header.ts";
import { openContent, readWhole } from "../../recovery/archive-reader.ts";
import { archiveTailSchema, readTail } from "../../recovery/archive-tail.ts";
import { readIndex } from "../../recovery/index-file.ts";
import type { Manifest, ManifestPart } from "../../recovery/manifest.ts";
import { walkTar } from "../../recovery/tar-reader.ts";
import { verifyPoint } from "../../recovery/verify.ts";
import { verifyAndRecord } from "../../recovery/verify-and-record.ts";
import { manifest } from "./fixtures.ts";

const stamp = "20260101_020000";
const file = `full_backup_${stamp}.tar.gz`;
const names = {
	media: `media_backup_${stamp}.tar.gz`,
	static: `static_backup_${stamp}.tar.gz`,
	redis: `redis_backup_${stamp}.rdb`,
	database: `db_backup_${stamp}.sql`,
};

const rows = 20_000;
const dump = Buffer.from(
	`--\n-- PostgreSQL database dump\n--\n\nCOPY public."a table" (id, note) FROM stdin;\n${Array.from({ length: rows }, (_, i) => `${i}\tnote \\\\. ${i * 7919}\n`).join("")}\\.\n\n--\n-- PostgreSQL database dump complete\n--\n`,
);

function tarGz(files: number): Buffer {
	const where = mkdtempSync(join(tmpdir(), "rectest-"));
	for (let i = 0; i < files; i++) writeFileSync(join(where, `f${i}`), randomBytes(100_000));
	return execFileSync("tar", ["-czf", "-", "-C", where, "."], { maxBuffer: 1 << 28 });
}

const part = (
	name: string,
	holds: string,
	content: Buffer,
	more: Partial<ManifestPart> = {},
): ManifestPart => ({
	name,
	holds,
	size: content.length,
	sha256: createHash("sha256").update(content).digest("hex"),
	...more,
});

/** An archive by the agent's own writer; gzip of this machine takes the place of igzip. */
async function archive(change: (m: Manifest) => void = () => undefined, without?: string): Promise<string> {
	const where = mkdtempSync(join(tmpdir(), "rectest-"));
	const media = tarGz(3);
	const statics = tarGz(1);
	const redis = randomBytes(5000);
	const truth = manifest({
		parts: [
			part(names.media, "media", media, { entries: 4, files: 3 }),
			part(names.static, "static", statics, { entries: 2, files: 1 }),
			part(names.redis, "redis", redis),
			part(names.database, "database", dump),
		],
	});
	truth.database.rows = { 'public."a table"': rows };
	change(truth);
	const text = Buffer.from(JSON.stringify(truth));
	const end = Buffer.concat([
		tarPadding(dump.length),
		tarHeader("manifest.json", text.length, new Date(0)),
		text,
		tarPadding(text.length),
		tarEnd,
	]);
	const tail = join(where, "tail");
	writeFileSync(
		tail,
		execFileSync("gzip", ["-1", "-n"], { input: Buffer.concat([dump, end]), maxBuffer: 1 << 28 }),
	);
	const writer = await ArchiveWriter.create(join(where, file), "gzip", new Date(0));
	for (const [name, content] of [
		[names.media, media],
		[names.static, statics],
		[names.redis, redis],
	] as const) {
		if (name === without) continue;
		writeFileSync(join(where, name), content);
		if (name === names.redis) writer.beginTail();
		await writer.storeFile(name, join(where, name));
	}
	const ended = { size: dump.length, length: dump.length + end.length };
	const found = await writer.finish(names.database, tail, Promise.resolve(ended));
	writeFileSync(tail, JSON.stringify(found));
	return where;
}

test("the end of an archive is an archive by itself, without what is before it", async () => {
	const where = await archive();
	const path = join(where, file);
	const tail = archiveTailSchema.parse(JSON.parse(readFileSync(join(where, "tail"), "utf8")));
	const { size } = statSync(path);
	expect(tail.offset).toBeGreaterThan(readFileSync(join(where, names.media)).length);
	const { signal } = new AbortController();
	const stored = readTail({ path, size, compression: "gzip" }, tail, signal);
	const seen = new Map<string, Buffer>();
	// Its checksum and length are compared by this.
	await walkTar(openContent(stored, { compression: "gzip", encrypted: false }), async ({ name }, content) => {
		seen.set(name, await readWhole(content));
	});
	expect([...seen.keys()]).toEqual([names.redis, names.database, "manifest.json"]);
	expect(seen.get(names.database)?.equals(dump)).toBe(true);
	expect(seen.get(names.redis)?.equals(readFileSync(join(where, names.redis)))).toBe(true);
});

test("a whole archive is good, for this program and for every other", async () => {
	const where = await archive();
	const result = await verifyPoint(where, file);
	expect(result.problems).toEqual([]);
	expect(result).toMatchObject({ ok: true, how: "content", origin: "manifest" });
	expect(
		execFileSync("tar", ["-tzf", join(where, file)], { encoding: "utf8" })
			.trim()
			.split("\n"),
	).toEqual([names.media, names.static, names.redis, names.database, "manifest.json"]);
	execFileSync("gzip", ["-t", join(where, file)]);
	const script =
		"import gzip,sys,tarfile; tarfile.open(sys.argv[1]).getmembers(); print(len(gzip.open(sys.argv[1]).read()))";
	execFileSync("python3", ["-c", script, join(where, file)]);
	expect(
		execFileSync("tar", ["-xzOf", join(where, file), names.database], { maxBuffer: 1 << 28 }).equals(dump),
	).toBe(true);
});

test("any flipped byte is found, and the part it is in is named", async () => {
	const where = await archive();
	const whole = readFileSync(join(where, file));
	const mediaSize = readFileSync(join(where, names.media)).length;
	for (let i = 0; i < 120; i++) {
		const position = Math.floor((i / 120) * whole.length);
		const damaged = Buffer.from(whole);
		damaged[position] = (damaged[position] as number) ^ (1 << (i % 8));
		writeFileSync(join(where, file), damaged);
		const { ok, problems } = await verifyPoint(where, file);
		// Time, system and flags for speed in the first ten bytes mean nothing; all the rest does.
		if (position >= 10) expect([position, ok]).toEqual([position, false]);
		if (position > 1200 && position < mediaSize) expect(problems.join()).toContain(names.media);
		if (position > whole.length * 0.98) expect(problems.join()).toMatch(/db_backup|manifest|checksum/);
	}
});

test("a cut anywhere is found", async () => {
	const where = await archive();
	const whole = readFileSync(join(where, file));
	const lengths = [
		1,
		9,
		10,
		11,
		500,
		600,
		whole.length - 9,
		whole.length - 8,
		whole.length - 7,
		whole.length - 1,
	];
	for (let i = 1; i < 60; i++) lengths.push(Math.floor((i / 60) * whole.length));
	for (const length of lengths) {
		writeFileSync(join(where, file), whole.subarray(0, length));
		expect([length, (await verifyPoint(where, file)).ok]).toEqual([length, false]);
	}
});

test("what follows the archive is found: garbage, and a second member", async () => {
	const where = await archive();
	const whole = readFileSync(join(where, file));
	for (const more of [Buffer.from("x"), Buffer.alloc(70_000), gzipSync(Buffer.alloc(1024)), gzipSync("x")]) {
		writeFileSync(join(where, file), Buffer.concat([whole, more]));
		const { ok, problems } = await verifyPoint(where, file);
		expect(ok).toBe(false);
		expect(problems.join()).toMatch(/follow the end/);
	}
});

test("a missing part, a part that is another, and wrong counts are named", async () => {
	const cases: [Awaited<ReturnType<typeof archive>>, RegExp][] = [
		[await archive(undefined, names.static), new RegExp(`${names.static} is missing`)],
		[
			await archive((m) => Object.assign(m.parts[2] as object, { sha256: "f".repeat(64) })),
			new RegExp(`${names.redis} differs`),
		],
		[await archive((m) => m.parts.splice(2, 1)), new RegExp(`${names.redis} is not in the manifest`)],
		[
			await archive((m) => Object.assign(m.parts[0] as object, { entries: 9 })),
			/has 4 entries, the manifest says 9/,
		],
		[
			await archive((m) => Object.assign(m.database.rows, { 'public."a table"': 1 })),
			/20000 rows of public."a table", the manifest says 1/,
		],
	];
	for (const [where, message] of cases) {
		const { ok, problems } = await verifyPoint(where, file);
		expect(ok).toBe(false);
		expect(problems.join()).toMatch(message);
	}
});

test("a lost index is made again from the manifest, and a later flip is kept in it", async () => {
	const where = await archive();
	expect((await verifyAndRecord(where, file)).ok).toBe(true);
	expect((await readIndex(join(where, file)))?.verified).toMatchObject({ ok: true, how: "content" });
	const bytes = readFileSync(join(where, file));
	bytes[4] = 7; // The time in the gzip header: only the hash of the stored file can tell.
	writeFileSync(join(where, file), bytes);
	const again = await verifyAndRecord(where, file);
	expect(again.problems.join()).toMatch(/not the one that was written/);
	expect((await readIndex(join(where, file)))?.verified.ok).toBe(false);
});

test("an archive of the old script is checked from end to end, and gets no index", async () => {
	const where = mkdtempSync(join(tmpdir(), "rectest-"));
	const source = mkdtempSync(join(tmpdir(), "rectest-"));
	const media = tarGz(2);
	const pack = () => execFileSync("tar", ["-czf", join(where, file), "-C", source, "."]);
	writeFileSync(join(source, names.database), dump);
	writeFileSync(join(source, names.media), media);
	pack();
	expect((await verifyPoint(where, file)).problems).toEqual(["static_backup_*.tar.gz is missing"]);
	writeFileSync(join(source, names.static), tarGz(1));
	pack();
	expect(await verifyAndRecord(where, file)).toMatchObject({ ok: true, origin: "old-script", problems: [] });
	expect(await readIndex(join(where, file))).toBeUndefined();
	media[200_000] = (media[200_000] as number) ^ 1;
	writeFileSync(join(source, names.media), media);
	pack();
	expect((await verifyPoint(where, file)).problems.join()).toMatch(new RegExp(`^${names.media}: `));
	writeFileSync(join(source, names.media), tarGz(1));
	writeFileSync(join(source, names.database), dump.subarray(0, 100_000));
	pack();
	expect((await verifyPoint(where, file)).problems.join()).toMatch(/not a whole dump/);
});
