import { randomBytes } from "node:crypto";
import { appendFileSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { constants, crc32, deflateRawSync, gunzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "@jest/globals";
import { ArchiveWriter } from "../../agent/archive-writer.ts";
import { tarEnd, tarPadding } from "../../agent/tar-header.ts";
import { gzipTrailer, heads } from "../../recovery/archive-tail.ts";
import type { Compression } from "../../recovery/manifest.ts";

const name = "db_backup_20260101_020000.sql";
// Half of it does not compress, so that the file passes what is read at once.
const dump = Buffer.concat([randomBytes(3 << 20), Buffer.alloc(3 << 20, "1\tnote\n")]);
const content = Buffer.concat([dump, tarPadding(dump.length), tarEnd]);
const ended = { size: dump.length, length: content.length };

/** As igzip and zstd write it. */
const packed: Readonly<Record<Compression, Buffer>> = {
	gzip: Buffer.concat([
		heads.gzip,
		deflateRawSync(content, { level: constants.Z_BEST_SPEED }),
		gzipTrailer(crc32(content), content.length),
	]),
	zstd: zstdCompressSync(content),
};

interface Begun {
	readonly writer: ArchiveWriter;
	readonly archive: string;
	/** File that a program compresses into; nothing is in it yet. */
	readonly growing: string;
}

async function begin(compression: Compression): Promise<Begun> {
	const where = mkdtempSync(join(tmpdir(), "rectest-"));
	const writer = await ArchiveWriter.create(join(where, "archive"), compression, new Date(0));
	const media = join(where, "media");
	writeFileSync(media, Buffer.alloc(100_000, 7));
	await writer.storeFile("media", media);
	const growing = join(where, "packed");
	writeFileSync(growing, "");
	return { writer, archive: join(where, "archive"), growing };
}

test.each(["gzip", "zstd"] as const)(
	"a file that is still being compressed comes into the archive as a whole one does (%s)",
	async (compression) => {
		const bytes = packed[compression];
		const whole = await begin(compression);
		writeFileSync(whole.growing, bytes);
		await whole.writer.finish(name, whole.growing, Promise.resolve(ended));

		const grown = await begin(compression);
		const grow = async () => {
			let written = 0;
			// Beginning with less than the head of a gzip member and its end, ending with less than its end.
			for (const to of [3, 11, 19, 1 << 20, (2 << 20) + 1, bytes.length - 5, bytes.length]) {
				appendFileSync(grown.growing, bytes.subarray(written, to));
				written = to;
				await sleep(30);
			}
			return ended;
		};
		await grown.writer.finish(name, grown.growing, grow());

		const archive = readFileSync(grown.archive);
		expect(archive.equals(readFileSync(whole.archive))).toBe(true);
		if (compression === "gzip")
			expect(gunzipSync(archive).subarray(-content.length).equals(content)).toBe(true);
	},
);

test("the end of what is being compressed is the end of the archive too, when it is a failure", async () => {
	const { writer, growing } = await begin("gzip");
	appendFileSync(growing, packed.gzip.subarray(0, 1000));
	const failing = sleep(50).then(() => {
		throw new Error("pg_dump failed: the server went away");
	});
	await expect(writer.finish(name, growing, failing)).rejects.toThrow("pg_dump failed: the server went away");
	await writer.abandon();
});

test("a compressor that was given other bytes than it ended with is found out", async () => {
	const { writer, growing } = await begin("gzip");
	writeFileSync(growing, packed.gzip);
	const other = Promise.resolve({ size: dump.length, length: content.length + 1 });
	await expect(writer.finish(name, growing, other)).rejects.toThrow(/another number of bytes/);
	await writer.abandon();
});

test("a file that becomes shorter while it is taken over is no whole archive", async () => {
	const { writer, growing } = await begin("gzip");
	writeFileSync(growing, packed.gzip);
	const cut = sleep(100).then(() => {
		writeFileSync(growing, packed.gzip.subarray(0, 1 << 20));
		return ended;
	});
	await expect(writer.finish(name, growing, cut)).rejects.toThrow(/shorter|another number of bytes/);
	await writer.abandon();
});
