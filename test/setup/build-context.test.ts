import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { contextDigest, packContext, readContext } from "../../images/context.ts";

let root: string;
const put = (path: string, content = path) => {
	mkdirSync(dirname(join(root, path)), { recursive: true });
	writeFileSync(join(root, path), content);
};
beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "build-context-"));
	for (const path of [
		"app/Dockerfile",
		"app/main.py",
		"app/logs/a.log",
		"app/logs/keep.txt",
		"app/deep/er/x",
	])
		put(path);
});
afterEach(() => rmSync(root, { recursive: true }));
const read = (dockerfile?: string) => readContext({ context: join(root, "app"), dockerfile });
const digest = (more = {}) => contextDigest({ context: join(root, "app"), ...more });

test("everything in the directory is sent when nothing is ignored", async () => {
	expect((await read()).entries).toEqual([
		...["Dockerfile", "deep", "deep/er", "deep/er/x"],
		...["logs", "logs/a.log", "logs/keep.txt", "main.py"],
	]);
});

test("what .dockerignore excludes is not sent, what it brings back is, and the Dockerfile always is", async () => {
	put("app/.dockerignore", "logs\n!logs/keep.txt\ndeep\nDockerfile\n");
	expect((await read()).entries).toEqual([".dockerignore", "Dockerfile", "logs", "logs/keep.txt", "main.py"]);
});

test("a Dockerfile outside the context is sent beside it, with its own ignore file", async () => {
	put("images/backend/Dockerfile");
	put("images/backend/Dockerfile.dockerignore", "*\n!main.py\n");
	const context = await read(join(root, "images/backend/Dockerfile"));
	expect(context.entries).toEqual(["main.py"]);
	expect(context.extraFiles).toEqual([
		{ name: context.dockerfileName, path: join(root, "images/backend/Dockerfile") },
	]);
});

test("a missing directory or Dockerfile is named", async () => {
	await expect(readContext({ context: join(root, "gone") })).rejects.toThrow(join(root, "gone"));
	await expect(read("Dockerfile.gone")).rejects.toThrow("Dockerfile.gone");
});

test("the archive belongs to root and knows only the modes that git keeps", async () => {
	chmodSync(join(root, "app/main.py"), 0o600);
	chmodSync(join(root, "app/deep/er/x"), 0o700);
	put("outside/Dockerfile", "FROM scratch\n");
	symlinkSync("main.py", join(root, "app/link"));
	const headers = await archiveHeaders(
		packContext(await read(join(root, "outside/Dockerfile"))) as unknown as AsyncIterable<Buffer>,
	);
	expect(headers).toContain("main.py 0644 0:0");
	expect(headers).toContain("deep/er/x 0755 0:0");
	expect(headers.some((header) => header.startsWith("link "))).toBe(true);
	expect(headers.some((header) => header.startsWith(".dockerfile-from-outside"))).toBe(true);
});

test("the digest follows names, contents, executable bits, arguments and target", async () => {
	const before = await digest();
	const seen = new Set([before, await digest({ args: { A: "1" } }), await digest({ target: "production" })]);
	put("app/main.py", "changed");
	seen.add(await digest());
	chmodSync(join(root, "app/main.py"), 0o755);
	seen.add(await digest());
	put("app/new.py");
	seen.add(await digest());
	expect(seen.size).toBe(6);
});

test("the digest follows neither times, nor owners' modes, nor what is ignored", async () => {
	put("app/.dockerignore", "logs\n");
	const before = await digest();
	put("app/logs/another.log");
	utimesSync(join(root, "app/main.py"), 1, 1);
	chmodSync(join(root, "app/main.py"), 0o600);
	expect(await digest()).toBe(before);
});

/** `name mode uid:gid` of each entry; the ustar format is 512-byte headers with octal numbers. */
async function archiveHeaders(stream: AsyncIterable<Buffer>): Promise<string[]> {
	const chunks: Buffer[] = [];
	for await (const chunk of stream) chunks.push(chunk);
	const archive = Buffer.concat(chunks);
	const headers: string[] = [];
	const text = (from: number, length: number) =>
		archive.toString("utf8", from, from + length).replace(/[\0 ].*$/s, "");
	const octal = (from: number, length: number) => Number.parseInt(text(from, length) || "0", 8);
	for (let at = 0; archive[at] !== 0 && at < archive.length; ) {
		const mode = octal(at + 100, 8)
			.toString(8)
			.padStart(4, "0");
		headers.push(`${text(at, 100)} ${mode} ${octal(at + 108, 8)}:${octal(at + 116, 8)}`);
		at += 512 + Math.ceil(octal(at + 124, 12) / 512) * 512;
	}
	return headers;
}
