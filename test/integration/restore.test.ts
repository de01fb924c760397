/** Restores as an operator runs them, on a real stack: what is asked, refused, brought back and told. */
import { spawnSync } from "node:child_process";
import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { programDirectory } from "../../components/directories.ts";
import { docker } from "../support/docker.ts";
import { type Content, RestoreProof } from "../support/restore-proof.ts";
import { atTerminal, keys } from "../support/terminal.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up in a test.
jest.setTimeout(300_000);

let stack: TestStack;
let proof: RestoreProof;
/** What the backup holds, and what was there when the next one was to be restored. */
let old: Content;
let changed: Content;
let full: string;
let sql: string;

beforeAll(async () => {
	stack = await TestStack.create();
	proof = new RestoreProof(stack);
	await stack.run(["up"]);
	await proof.seed();
	old = proof.content();
	full = (await json("backup")).file;
	sql = (await json("backup-db")).file;
	await proof.change();
	changed = proof.content();
});

afterAll(() => stack?.cleanUp());

async function json(...args: string[]) {
	return JSON.parse((await stack.run([...args, "--json"])).stdout);
}

async function restore(...args: string[]) {
	return await json("restore", ...args, "--yes");
}

describe("before anything is done", () => {
	test.each<[what: string, args: () => string[], code: number, said: RegExp]>([
		["no file: it lists them", () => [], 2, /full_backup_.*content[\s\S]*fix {4}.* restore --latest/],
		["several files", () => [full, sql], 2, /2 files were named[\s\S]*full_backup_.*\n +db_backup_/],
		["a file and --latest", () => [full, "--latest"], 2, /say different things/],
		["a file that is not there", () => ["full_backup_20200101_000000.tar.gz"], 2, /there is no backup/],
		["a part that is not known", () => [full, "--only", "users"], 2, /there is no part "users"/],
		["no terminal", () => [full], 2, /no terminal to ask at; nothing was changed\nfix .* --yes/],
	])("%s: it ends with the code, and nothing is changed", async (_what, args, code, said) => {
		const before = [proof.starts(), proof.archives()];
		// A piped answer is none.
		const result = await stack.run(["restore", ...args()], { mayFail: true, input: "yes\n" });
		expect([result.code, result.stderr]).toEqual([code, expect.stringMatching(said)]);
		expect([proof.starts(), proof.archives()]).toEqual(before);
	});

	test.each<[what: string, answer: string, code: number]>([
		["another case", `Yes${keys.enter}`, 3],
		["a space behind it", `yes ${keys.enter}`, 3],
		["the end of input", keys.endOfInput, 3],
		["Ctrl-C", keys.interrupt, 130],
	])("at a terminal %s declines, after the file was shown", async (_what, answer, code) => {
		const before = [proof.starts(), proof.archives()];
		const starter = ["--no-warnings", join(programDirectory, "cli", "stack.mjs")];
		const command = [process.execPath, ...starter, "-C", stack.directory, "-s", stack.name, "restore", full];
		const answered = await atTerminal(command, { question: /Type 'yes' to confirm: $/, answer });
		expect(answered.shown).toMatch(
			new RegExp(`file +\\S+${full}[\\s\\S]*by stack ${stack.name}[\\s\\S]*verified`),
		);
		expect(answered.shown).toMatch(/backend_db[\s\S]*uploads[\s\S]*Type 'yes' to confirm/);
		expect(answered.code).toBe(code);
		expect([proof.starts(), proof.archives()]).toEqual(before);
	});

	test("a dry run shows what would be replaced, and changes nothing", async () => {
		const before = [proof.starts(), proof.archives()];
		const { stdout } = await stack.run(["restore", "--latest", "--dry-run"]);
		expect(stdout).toMatch(new RegExp(`${stack.name}-backend-media +uploads +[\\d.]+[KM] +replaced`));
		expect(stdout).toMatch(/rows in \d+ tables, \d+ media files?, \d+ static files/);
		expect([proof.starts(), proof.archives()]).toEqual(before);
	});

	test("a damaged file is refused with 7 before anything stops, and no safety backup is made of it", async () => {
		const file = "full_backup_20260103_000000.tar.gz";
		copyFileSync(join(proof.backups, full), join(proof.backups, file));
		const descriptor = openSync(join(proof.backups, file), "r+");
		const position = Math.floor(readFileSync(join(proof.backups, file)).length / 2);
		const byte = readFileSync(join(proof.backups, file))[position] as number;
		writeSync(descriptor, Buffer.from([byte ^ 0x20]), 0, 1, position);
		closeSync(descriptor);
		const before = [proof.starts(), proof.archives()];
		const { code, stderr } = await stack.run(["restore", file, "--yes"], { mayFail: true });
		expect([code, stderr]).toEqual([7, expect.stringMatching(/cannot be relied on: media_backup_/)]);
		expect([proof.starts(), proof.archives()]).toEqual(before);
	});
});

describe("a full restore", () => {
	let told: Awaited<ReturnType<typeof restore>>;

	beforeAll(async () => {
		told = await restore(full);
	});

	test("brings rows, users and files back, with owner and mode, and leaves nothing behind", () => {
		expect(proof.content()).toEqual(old);
		expect(proof.remains()).toEqual([]);
	});

	test("the application answers, and users sign in with the password of then", async () => {
		expect(await proof.answers()).toBe(true);
		expect([await proof.signIn("before"), await proof.signIn("after")]).toEqual([200, 401]);
	});

	test("Redis stays as it is, and what was stopped runs again", () => {
		expect(proof.redis("get proof")).toBe("after");
		expect(told).toMatchObject({ redis: "keep", restarted: ["backend", "proxy"] });
		expect(told.downtimeSeconds).toBeGreaterThan(0);
	});

	test("--latest means that file again, and not what was put aside for it", async () => {
		const { stdout } = await stack.run(["restore", "--latest", "--dry-run"]);
		expect(stdout).toContain(full);
		expect(stdout).not.toContain(told.safetyBackup.split("/").at(-1));
	});

	test("a safety backup was made, and the command it names undoes the restore", async () => {
		expect(told.safetyBackup).toMatch(/full_backup_\d{8}_\d{6}\.tar\.gz$/);
		const [, , ...args] = told.undo.split(" ").slice(1);
		expect(args).toEqual(["restore", told.safetyBackup.split("/").at(-1)]);
		await restore(args[1], "--no-safety-backup");
		expect(proof.content()).toEqual(changed);
	});
});

test("--only media leaves the database and the static files alone", async () => {
	await restore(full, "--only", "media", "--no-safety-backup");
	expect(proof.content()).toEqual({ ...changed, media: old.media });
});

test("a database backup brings the database alone, after a safety backup of it alone", async () => {
	const told = await restore(sql);
	expect(proof.content()).toEqual({ ...changed, media: old.media, rows: old.rows, users: old.users });
	expect(told.safetyBackup).toMatch(/db_backup_\d{8}_\d{6}\.sql$/);
});

test("--redis brings its keys back, or empties it", async () => {
	await restore(full, "--only", "redis", "--no-safety-backup");
	expect(proof.redis("get proof")).toBe("before");
	await restore(sql, "--redis", "clear", "--no-safety-backup");
	expect(proof.redis("get proof")).toBe("");
	expect(await proof.answers()).toBe(true);
});

test("an archive of the old script, which has no manifest, is read through and restored", async () => {
	await restore(full, "--no-safety-backup");
	const file = proof.handMade("20260101_000000");
	await proof.change();
	const told = await restore(file, "--no-safety-backup");
	expect(told).toMatchObject({ origin: "old-script", fromStack: null });
	expect(proof.content()).toEqual(old);
	// The parts by themselves, too.
	await proof.change();
	await restore("media_backup_20260101_000000.tar.gz", "--no-safety-backup");
	expect(proof.content()).toMatchObject({ media: old.media });
});

test("an encrypted one needs its key: with another it ends with 4, and nothing is changed", async () => {
	const image = docker("inspect", "--format", "{{.Image}}", `${stack.name}-backup`);
	const inImage = (command: string, ...args: string[]) =>
		spawnSync(
			"docker",
			["run", "--rm", "--interactive", "--network", "none", "--entrypoint", command, image, ...args],
			{ input: readFileSync(join(proof.backups, full)), maxBuffer: 1 << 30 },
		).stdout;
	const [key = "", other = ""] = ["key", "other"].map((name) => {
		const file = join(stack.directory, name);
		writeFileSync(file, inImage("age-keygen"), { mode: 0o600 });
		return file;
	});
	const recipient = /public key: (age1\w+)/.exec(readFileSync(key, "utf8"))?.[1] ?? "";
	const file = "full_backup_20260102_000000.tar.gz.age";
	writeFileSync(join(proof.backups, file), inImage("age", "--encrypt", "--recipient", recipient));
	const before = [proof.starts(), proof.archives()];
	const wrong = await stack.run(["restore", file, "--yes", "--identity", other], { mayFail: true });
	expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringMatching(/no identity matched|does not open/)]);
	expect([proof.starts(), proof.archives()]).toEqual(before);
	const told = await restore(file, "--identity", key, "--no-safety-backup");
	expect(told).toMatchObject({ encrypted: true });
	expect(proof.content()).toEqual(old);
});

test("a stopped stack is restored, and is stopped again afterwards", async () => {
	await proof.change();
	await stack.run(["stop"]);
	await restore("--latest", "--no-safety-backup", "--only", "media");
	expect(
		docker("ps", "--quiet", "--filter", `label=persistent-stack.owner=persistent-stack/${stack.name}`),
	).toBe("");
	await stack.run(["start"]);
});

test("after everything was destroyed, restore brings the stack up and the data back", async () => {
	await stack.run(["destroy", "--yes"]);
	await restore(full);
	expect(proof.content()).toMatchObject({ rows: old.rows, users: old.users, media: old.media });
	expect(await proof.signIn("before")).toBe(200);
});
