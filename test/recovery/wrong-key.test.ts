/** A key that does not fit says nothing about the file: a good copy must not turn into a damaged one. */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readIndex, writeIndex } from "../../recovery/index-file.ts";
import { index } from "./fixtures.ts";

const file = "full_backup_20260101_020000.tar.gz.age";
const stored = randomBytes(1000);
const verifier = new URL("../../recovery/verify-and-record.ts", import.meta.url).href;
let directory: string;

beforeEach(async () => {
	directory = mkdtempSync(join(tmpdir(), "wrong-key-"));
	// What age says to a key of somebody else: nothing is decrypted, and its exit code is not 0.
	const programs = join(directory, "bin");
	mkdirSync(programs);
	writeFileSync(
		join(programs, "age"),
		'#!/bin/sh\ncat >/dev/null\necho "age: error: no identity matched" >&2\nexit 1\n',
	);
	chmodSync(join(programs, "age"), 0o755);
	writeFileSync(join(directory, file), stored);
	const sha256 = createHash("sha256").update(stored).digest("hex");
	await writeIndex(directory, index(file, { size: stored.length, sha256, encrypted: true }));
});

afterEach(() => {
	rmSync(directory, { recursive: true, force: true });
});

/** In a process of its own, which finds the other age first on its PATH. */
function verify() {
	const script = `
		import { verifyAndRecord } from ${JSON.stringify(verifier)};
		console.log(JSON.stringify(await verifyAndRecord(${JSON.stringify(directory)}, ${JSON.stringify(file)}, { identity: "/nowhere/key" })));
	`;
	const PATH = [join(directory, "bin"), process.env.PATH].join(delimiter);
	return spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
		encoding: "utf8",
		env: { ...process.env, PATH, NODE_OPTIONS: "" },
	});
}

test("a wrong key is an error that names the file, and the index still says verified", async () => {
	const { status, stderr } = verify();
	expect(status).not.toBe(0);
	expect(stderr).toContain(`${file} is stored as it was written, and this key does not open it`);
	expect((await readIndex(join(directory, file)))?.verified).toMatchObject({ ok: true, how: "content" });
});

test("a file that is not as it was written is damaged, whatever the key", async () => {
	writeFileSync(join(directory, file), Buffer.concat([stored.subarray(0, 500), Buffer.from("x")]));
	expect(JSON.parse(verify().stdout)).toMatchObject({ ok: false });
	expect((await readIndex(join(directory, file)))?.verified.ok).toBe(false);
});
