import { crc32 } from "node:zlib";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { extract } from "tar-stream";
import { crc32Combine } from "../../agent/crc32-combine.ts";
import { tarHeader } from "../../agent/tar-header.ts";

test("the CRC of two byte strings together follows from the CRC of each", () => {
	const bytes = fc.uint8Array({ maxLength: 5000 });
	fc.assert(
		fc.property(bytes, bytes, (a, b) => {
			expect(crc32Combine(crc32(a), crc32(b), b.length)).toBe(crc32(Buffer.concat([a, b])));
		}),
	);
});

test("that holds beyond 4 GiB", () => {
	const block = Buffer.alloc(1 << 24, "abc");
	let expected = crc32("start");
	let second = 0;
	for (let i = 0; i < 300; i++) {
		expected = crc32(block, expected);
		second = crc32(block, second);
	}
	expect(crc32Combine(crc32("start"), second, 300 * block.length)).toBe(expected);
});

test("a header tells sizes beyond 8 GiB", async () => {
	for (const size of [0, 511, 8 * 2 ** 30 - 1, 8 * 2 ** 30, 5 * 2 ** 40]) {
		const walker = extract();
		const seen = new Promise((resolve) => walker.on("entry", resolve));
		walker.write(tarHeader("db_backup_20260101_000000.sql", size, new Date(1000)));
		expect(await seen).toMatchObject({
			name: "db_backup_20260101_000000.sql",
			size,
			mode: 0o600,
			uid: 0,
			type: "file",
		});
	}
});
