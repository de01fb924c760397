import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { extract } from "tar-stream";
import { readWhole } from "../../recovery/archive-reader.ts";
import { DamagedError } from "../../recovery/damaged-error.ts";
import { walkTar } from "../../recovery/tar-reader.ts";

type Seen = Record<string, { type: string | null; content: string }>;

const formats = ["gnu", "posix", "ustar", "oldgnu"];
const archives = new Map<string, Buffer>();
let directory: string;

beforeAll(() => {
	directory = mkdtempSync(join(tmpdir(), "tar-reader-"));
	const root = join(directory, "root");
	mkdirSync(join(root, "empty directory"), { recursive: true });
	writeFileSync(join(root, "empty"), "");
	for (const size of [1, 511, 512, 513, 70_000]) writeFileSync(join(root, `${size}`), "x".repeat(size));
	writeFileSync(join(root, "Größe ﷽ \n\\"), "odd");
	writeFileSync(join(root, "n".repeat(90)), "short enough for every format");
	linkSync(join(root, "513"), join(root, "hard"));
	symlinkSync("513", join(root, "soft"));
	writeFileSync(join(root, "long".repeat(60)), "long name");
	symlinkSync("far".repeat(60), join(root, "long way"));
	writeFileSync(join(root, "sparse"), "data");
	truncateSync(join(root, "sparse"), 1 << 20);
	for (const format of formats) {
		const args = ["--create", "--sort=name", `--format=${format}`, `--directory=${root}`];
		args.push(format === "ustar" ? "--exclude=./long*" : "--sparse");
		archives.set(format, execFileSync("tar", [...args, "."], { maxBuffer: 1 << 24 }));
	}
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Pieces in one memory, which is spoilt as soon as the next is asked for. */
async function* pieces(archive: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
	const memory = Buffer.alloc(Math.max(...sizes));
	for (let start = 0, turn = 0; start < archive.length; turn++) {
		const length = archive.copy(memory, 0, start, start + (sizes[turn % sizes.length] as number));
		yield memory.subarray(0, length);
		memory.fill(0xee);
		start += length;
	}
}

async function read(archive: Buffer, sizes: readonly number[]): Promise<Seen> {
	const seen: Seen = {};
	await walkTar(pieces(archive, sizes), async ({ name, type, size }, content) => {
		const bytes = await readWhole(content);
		expect(bytes.length).toBe(size);
		seen[name] = { type, content: bytes.toString("latin1") };
	});
	return seen;
}

async function readByLibrary(archive: Buffer): Promise<Seen> {
	const seen: Seen = {};
	const walker = extract();
	walker.on("entry", async (header, content, next) => {
		const bytes = await readWhole(content as unknown as AsyncIterable<Buffer>);
		seen[header.name] = { type: header.type ?? "other", content: bytes.toString("latin1") };
		next();
	});
	await new Promise<void>((done, fail) => walker.on("finish", done).on("error", fail).end(archive));
	return seen;
}

describe.each(formats)("an archive that tar wrote as %s", (format) => {
	const archive = () => archives.get(format) as Buffer;

	test("is read as a library reads it, in whatever pieces it comes", async () => {
		const expected = await readByLibrary(archive());
		expect(Object.keys(expected).length).toBeGreaterThan(10);
		await fc.assert(
			fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1 }), async (sizes) => {
				expect(await read(archive(), sizes)).toEqual(expected);
			}),
			{ numRuns: 25 },
		);
	});

	test("is passed over where nobody reads it", async () => {
		const names: string[] = [];
		await walkTar(pieces(archive(), [1000]), async ({ name }) => void names.push(name));
		expect(names).toEqual(Object.keys(await read(archive(), [4096])));
	});

	test("is damaged when it is cut", async () => {
		const zeros = archive().length - archive().findLastIndex((byte) => byte !== 0);
		await fc.assert(
			fc.asyncProperty(fc.integer({ min: 0, max: archive().length - zeros - 1024 }), async (length) => {
				// A cut between two entries looks like an end: the compressed data around it are what shows it.
				fc.pre(length % 512 !== 0 || length < 1024);
				await expect(read(archive().subarray(0, length), [4096])).rejects.toThrow(DamagedError);
			}),
			{ numRuns: 50 },
		);
	});

	test("is damaged when a bit of a header is another", async () => {
		await fc.assert(
			fc.asyncProperty(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
				const copy = Buffer.from(archive());
				copy[at] = (copy[at] as number) ^ (1 << bit);
				const before = await read(archive(), [4096]);
				// Between the digits of the checksum there may be anything.
				const outcome = await read(copy, [4096]).catch((error: unknown) => error);
				if (!(outcome instanceof DamagedError)) expect(outcome).toEqual(before);
			}),
			{ numRuns: 100 },
		);
	});
});

test("what fails says so itself, and not what a visitor makes of it", async () => {
	const broken = async function* () {
		yield (archives.get("gnu") as Buffer).subarray(0, 3000);
		throw new DamagedError("the disk is broken");
	};
	const swallow = async (_: unknown, content: AsyncIterable<Buffer>) =>
		void (await readWhole(content).catch(() => undefined));
	await expect(walkTar(broken(), swallow)).rejects.toThrow(/^the disk is broken \(noticed in or after /);
	const own = new Error("no room");
	const fail = () => Promise.reject(own);
	await expect(walkTar(pieces(archives.get("gnu") as Buffer, [4096]), fail)).rejects.toBe(own);
});

test("the rest need not be read", async () => {
	let closed = false;
	const source = async function* () {
		try {
			yield* pieces(archives.get("gnu") as Buffer, [4096]);
		} finally {
			closed = true;
		}
	};
	const names: string[] = [];
	await walkTar(
		source(),
		async ({ name }) => void names.push(name),
		() => names.length === 2,
	);
	expect(names).toHaveLength(2);
	expect(closed).toBe(true);
});

test("something else is no tar archive", async () => {
	await expect(read(Buffer.alloc(0), [1])).rejects.toThrow("it is too short");
	await expect(read(Buffer.alloc(4096, "text"), [4096])).rejects.toThrow("it is not a whole tar archive");
});
