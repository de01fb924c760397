/** The backup verbs as an operator runs them, on a real stack: what they make, refuse and say. */
import {
	appendFileSync,
	closeSync,
	existsSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
	writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { acquireLock, lockFile, lockHolder } from "../../recovery/lock.ts";
import { docker } from "../support/docker.ts";
import { freePort, TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

let stack: TestStack;
let backups: string;
let metricsPort: number;
/** Nobody listens there. */
const webhook = "http://127.0.0.1:9/THE-SECRET";

beforeAll(async () => {
	metricsPort = await freePort();
	stack = await TestStack.create({ metricsPort, alarmWebhook: "file:webhook" });
	writeFileSync(join(stack.directory, "webhook"), `${webhook}\n`, { mode: 0o600 });
	backups = join(stack.directory, "backups");
	await stack.run(["up"]);
	stack.sql("create table proof as select i, md5(i::text) as hash from generate_series(1, 5000) i");
	// Large enough that a run can be met in the middle.
	stack.inService(
		"backend",
		"mkdir -p /app/media/proof && head -c 300000000 /dev/urandom > /app/media/proof/file.bin",
	);
});

afterAll(() => stack?.cleanUp());

/** Names of the archives that look good. */
function archives(): string[] {
	return readdirSync(backups)
		.filter((name) => /^(full|db)_backup_/.test(name) && !name.endsWith(".json"))
		.sort();
}

/** What a run that was cut off may leave, until the next one sweeps it. */
function unfinished(): string[] {
	return readdirSync(backups).filter((name) => name.startsWith(".partial-"));
}

async function until(condition: () => boolean, what: string): Promise<void> {
	const deadline = Date.now() + 60_000;
	while (!condition()) {
		if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
		await sleep(20);
	}
}

async function json(...args: string[]) {
	return JSON.parse((await stack.run([...args, "--json"])).stdout);
}

/** Changes one byte in the middle of a file. */
function flipByte(file: string, position: number): void {
	const byte = readFileSync(file)[position] as number;
	const descriptor = openSync(file, "r+");
	writeSync(descriptor, Buffer.from([byte ^ 0x20]), 0, 1, position);
	closeSync(descriptor);
}

test("before the first backup list says how to make one, and status when the first is due", async () => {
	expect(await stack.run(["backup", "list"])).toMatchObject({
		code: 0,
		stdout: expect.stringMatching(/There is no backup in .*\/backups\. Make one: .* backup\n/),
	});
	const { stdout } = await stack.run(["status"]);
	expect(stdout).toMatch(
		/There is no backup yet\. Make one: .* backup\n0 backups in .*; the first is due in/,
	);
	expect(await stack.run(["backup", "verify"], { mayFail: true })).toMatchObject({ code: 1 });
});

describe("after a full backup and one of the database", () => {
	let full: string;

	beforeAll(async () => {
		const { stdout, stderr } = await stack.run(["backup"]);
		full =
			/Made (\S+\/full_backup_\d{8}_\d{6}\.tar\.gz): .*, verified \(content\), in .* s\n/.exec(stdout)?.[1] ??
			"";
		expect(stderr).toMatch(/^done {6}full backup .* s\ndone {6}reading back .* s\n/m);
		expect(existsSync(full)).toBe(true);
		const made = await json("backup-db");
		expect(made).toMatchObject({ kind: "database", class: "manual", verified: { ok: true, how: "content" } });
		expect(existsSync(made.path)).toBe(true);
		expect(made.sizeBytes).toBeGreaterThan(100_000);
	});

	test("list shows both with class, size, what was checked, and the stack", async () => {
		const { stdout } = await stack.run(["backup", "list"]);
		const row = new RegExp(`^${basename(full)} +manual +\\d+ seconds? +\\d+M +content +${stack.name}$`, "m");
		expect(stdout).toMatch(row);
		expect(stdout).toContain(`2 backups, `);
		const { points } = await json("backup", "list");
		expect(points).toMatchObject([
			{ file: basename(full), path: full, good: true, ownership: "own" },
			{ kind: "database", good: true },
		]);
	});

	test("status shows the newest with its age, size and that it was verified", async () => {
		const { stdout } = await stack.run(["status"]);
		expect(stdout).toMatch(
			new RegExp(`Newest backup: ${basename(full)}, \\d+ \\w+ old, \\d+M, verified \\(content\\)`),
		);
		expect((await json("status")).backup).toMatchObject({
			fresh: true,
			newest: { file: basename(full), good: true },
			counts: { own: 2, goodFull: 1, damaged: 0 },
		});
		expect((await stack.run(["status", "--exit-code"])).code).toBe(0);
	});

	test("verify reads the newest, one by its path, one by the link, and all", async () => {
		for (const args of [["--latest"], [full], ["latest.tar.gz"], [basename(full)]]) {
			const { stdout } = await stack.run(["backup", "verify", ...args]);
			expect([args, stdout]).toEqual([args, expect.stringMatching(`^good +${basename(full)} +every part`)]);
		}
		expect((await json("backup", "verify", "--all")).files).toMatchObject([{ ok: true }, { ok: true }]);
	});

	test("a drill restores it apart from the stack, keeps that as evidence, and status tells its age", async () => {
		const before = stack.containerIds();
		const newest = basename(full);
		const result = await json("backup", "drill");
		expect(result).toMatchObject({ file: newest, outcome: "passed", problems: [], files: { media: 1 } });
		expect(result.rows).toBeGreaterThanOrEqual(5000);
		expect(JSON.parse(readFileSync(result.evidence, "utf8")).drills).toHaveLength(1);
		expect((await json("status")).backup.lastDrill).toMatchObject({ file: newest, outcome: "passed" });
		expect((await stack.run(["status"])).stdout).toMatch(/Last restore drill: passed .* ago, full_backup_/);
		// Its container and its volume are gone.
		expect(stack.containerIds()).toEqual(before);
		expect(await stack.run(["backup", "drill", "gone.tar.gz"], { mayFail: true })).toMatchObject({ code: 2 });
	});

	test("metrics answer on the loopback address, and the alarm's address is shown nowhere", async () => {
		const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
		expect(await response.text()).toContain(`persistent_stack_backup_fresh{stack="${stack.name}"} 1`);
		const sidecar = `${stack.name}-backup`;
		expect(docker("port", sidecar)).toBe(`${metricsPort}/tcp -> 127.0.0.1:${metricsPort}`);
		expect(docker("exec", sidecar, "cat", "/run/secrets/alarm_webhook")).toBe(webhook);
		const shown = [
			docker("inspect", sidecar),
			docker("logs", sidecar),
			docker("top", sidecar, "-eo", "pid,args"),
			readFileSync(join(stack.directory, ".stack", stack.name, "state.json"), "utf8"),
			(await stack.run(["preview", "--diff"])).stdout,
			...readdirSync(backups)
				.filter((name) => /^\..*\.json$/.test(name))
				.map((name) => readFileSync(join(backups, name), "utf8")),
		];
		for (const text of shown) expect(text).not.toContain("THE-SECRET");
	});

	test("prune shows why each one stays, and deletes nothing that the policy keeps", async () => {
		const { stdout } = await stack.run(["backup", "prune", "--dry-run"]);
		expect(stdout).toMatch(
			new RegExp(`^${basename(full)} .* keep +one of the newest verified full backups`, "m"),
		);
		expect(stdout).toContain("Nothing would be deleted; 2 backups kept, of them 1 verified full one.");
		const before = archives();
		expect(await json("backup", "prune")).toMatchObject({ dryRun: false, deleted: [] });
		expect(archives()).toEqual(before);
	});

	test("list and verify work while the backup container does not run; a backup says what to start", async () => {
		await stack.run(["stop", "backup"]);
		try {
			expect((await stack.run(["backup", "list"])).stdout).toContain(basename(full));
			const { stdout } = await stack.run(["backup", "verify", "--latest"]);
			expect(stdout).toMatch(/^good/);
			const { code, stderr } = await stack.run(["backup"], { mayFail: true });
			expect(code).toBe(1);
			expect(stderr).toMatch(/backup of stack \S+ does not run[\s\S]*fix {4}\S+ -s \S+ start backup/);
		} finally {
			await stack.run(["start", "backup"]);
		}
	});

	test("a database that does not run is said before anything is begun", async () => {
		const before = archives();
		await stack.run(["stop", "db"]);
		try {
			const { code, stderr } = await stack.run(["backup"], { mayFail: true });
			expect(code).toBe(1);
			expect(stderr).toMatch(
				/the database of stack \S+ is not running \(container \S+: exited\)[\s\S]*fix .* start,/,
			);
			expect(archives()).toEqual(before);
		} finally {
			await stack.run(["start"]);
		}
	});

	test("while somebody holds the lock, he is named, and no backup is made", async () => {
		const before = archives();
		const lock = acquireLock(lockFile(backups, stack.name), "restore");
		try {
			const { code, stderr } = await stack.run(["backup"], { mayFail: true });
			expect(code).toBe(1);
			expect(stderr).toContain(`(process ${process.pid}) has been running "restore"`);
			expect(stderr).toContain(lockFile(backups, stack.name));
		} finally {
			lock.release();
		}
		expect(archives()).toEqual(before);
	});

	test("a backup directory that is missing, replaced or closed is said, with what mends it", async () => {
		const aside = `${backups}.aside`;
		renameSync(backups, aside);
		try {
			const missing = await stack.run(["backup"], { mayFail: true });
			expect(missing.stderr).toMatch(
				/is missing[\s\S]*fix {4}mkdir -p \S+ && chmod 700 \S+ && .* restart backup/,
			);
			mkdirSync(backups, { mode: 0o700 });
			const replaced = await stack.run(["backup-db"], { mayFail: true });
			expect(replaced.code).toBe(1);
			expect(replaced.stderr).toMatch(/was replaced since[\s\S]*fix {4}.* restart backup/);
		} finally {
			rmSync(backups, { recursive: true, force: true });
			renameSync(aside, backups);
		}
		docker(
			"run",
			"--rm",
			"--volume",
			`${backups}:/b`,
			"--entrypoint",
			"chmod",
			stack.baseImage("postgres"),
			"500",
			"/b",
		);
		try {
			const closed = await stack.run(["backup"], { mayFail: true });
			expect(closed.code).toBe(4);
			expect(closed.stderr).toMatch(/has mode 500[\s\S]*fix {4}chmod 700/);
		} finally {
			docker(
				"run",
				"--rm",
				"--volume",
				`${backups}:/b`,
				"--entrypoint",
				"chmod",
				stack.baseImage("postgres"),
				"700",
				"/b",
			);
		}
	});

	test.each(["SIGKILL", "SIGINT"] as const)(
		"a backup ended by %s leaves nothing that looks good, and no lock",
		async (signal) => {
			const before = archives();
			const { child, ended } = stack.start(["backup"]);
			await until(() => unfinished().length > 0, "the run to begin");
			process.kill(-(child.pid as number), signal);
			const { code } = await ended;
			expect(code).toBe(signal === "SIGINT" ? 130 : 128);
			const lock = lockFile(backups, stack.name);
			await until(() => lockHolder(lock) === undefined, "the lock to be given back");
			await until(() => unfinished().length === 0, "the remains to go");
			expect(archives()).toEqual(before);
		},
	);

	test("a migration is preceded by a safety backup, and not done when that fails", async () => {
		const before = archives();
		const { stderr } = await stack.run(["backend-migrate"]);
		expect(stderr).toMatch(/kept {6}\S+\/db_backup_\d{8}_\d{6}\.sql .*verified \(content\)/);
		const [made] = archives().filter((name) => !before.includes(name));
		const { points } = await json("backup", "list");
		expect(points.find(({ file }: { file: string }) => file === made)).toMatchObject({ class: "safety" });

		const now = archives();
		await stack.run(["backend-migrate", "--no-backup"]);
		await stack.run(["backend-migrate", "--plan"]);
		expect(archives()).toEqual(now);

		const lock = acquireLock(lockFile(backups, stack.name), "restore");
		try {
			const failed = await stack.run(["backend-migrate"], { mayFail: true });
			expect([failed.code, failed.stdout]).toEqual([1, ""]);
			expect(failed.stderr).toMatch(
				/nothing was migrated:[\s\S]*"restore"[\s\S]*backend-migrate --no-backup/,
			);
		} finally {
			lock.release();
		}
	});

	test("an up that brings a new backend image takes a safety backup under its own lock, unless told not to", async () => {
		const before = archives();
		stack.configure({ backendMigrateCommand: "python manage.py migrate --noinput --verbosity 2" });
		await stack.run(["up", "--no-backup"]);
		expect(archives()).toEqual(before);
		stack.configure({ backendMigrateCommand: "python manage.py migrate --noinput" });
		await stack.run(["up", "--no-backup"]);
		const image = () => docker("inspect", "--format", "{{.Image}}", `${stack.name}-backend`);
		const old = image();
		appendFileSync(join(stack.directory, "app", "backend", "config", "urls.py"), "\n# another release\n");
		const applied = await json("up");
		expect(image()).not.toBe(old);
		expect(applied.backup).toMatchObject({ class: "safety", verified: { ok: true } });
		expect(archives()).toEqual([...before, applied.backup.file].sort());
	});

	test("when the backup before it fails, up changes nothing", async () => {
		stack.configure({ backendMigrateCommand: "python manage.py migrate --noinput --verbosity 3" });
		const password = `${stack.name}-backup`;
		docker(
			"exec",
			"--user",
			"0:0",
			password,
			"sh",
			"-c",
			"mv /run/secrets/database_password /run/secrets/aside",
		);
		const before = { archives: archives(), containers: stack.containerIds() };
		try {
			const { code, stderr } = await stack.run(["up"], { mayFail: true });
			expect(code).toBe(4);
			expect(stderr).toMatch(/so nothing was changed: the password file[\s\S]*up --no-backup/);
			expect({ archives: archives(), containers: stack.containerIds() }).toEqual(before);
		} finally {
			docker(
				"exec",
				"--user",
				"0:0",
				password,
				"sh",
				"-c",
				"mv /run/secrets/aside /run/secrets/database_password",
			);
		}
		stack.configure({ backendMigrateCommand: undefined });
	});

	test("an encrypted zstd backup is checked by its bytes, with the key by its content, with another key by neither", async () => {
		const image = docker("inspect", "--format", "{{.Image}}", `${stack.name}-backup`);
		const [key, other] = ["key", "other"].map((name) => {
			const text = docker("run", "--rm", "--network", "none", "--entrypoint", "age-keygen", image);
			const file = join(stack.directory, name);
			writeFileSync(file, text, { mode: 0o600 });
			return { file, recipient: /public key: (age1\w+)/.exec(text)?.[1] ?? "" };
		}) as [{ file: string; recipient: string }, { file: string }];
		stack.configure({ backupRecipients: [key.recipient], backupCompression: "zstd" });
		await stack.run(["up"]);
		const made = await json("backup");
		expect(made).toMatchObject({ encrypted: true, verified: { how: "bytes" } });
		expect(made.file).toMatch(/\.tar\.zst\.age$/);
		const verified = async (...args: string[]) =>
			(await json("backup", "verify", "--latest", ...args)).files[0];
		expect(await verified()).toMatchObject({ file: made.file, ok: true, how: "bytes" });
		// Also while the container does not run: the key never gets into it.
		await stack.run(["stop", "backup"]);
		expect(await verified("--identity", key.file)).toMatchObject({ ok: true, how: "content" });
		await stack.run(["start", "backup"]);
		const wrong = await stack.run(["backup", "verify", made.file, "--identity", other.file], {
			mayFail: true,
		});
		expect(wrong.code).toBe(4);
		expect(wrong.stdout + wrong.stderr).toMatch(/does not open \S+ \(no identity matched/);
		// A wrong key says nothing against the backup.
		expect((await json("status")).backup).toMatchObject({ newest: { file: made.file, good: true } });
	});

	test("one flipped byte is found: verify ends with 7 and names the part, status counts it", async () => {
		flipByte(full, 150_000_000);
		const { code, stdout } = await stack.run(["backup", "verify", full], { mayFail: true });
		expect(code).toBe(7);
		expect(stdout).toMatch(new RegExp(`^DAMAGED +${basename(full)}\n +media_backup_\\S+\\.tar\\.gz`));
		expect((await stack.run(["backup", "list"])).stdout).toMatch(/ DAMAGED /);
		expect((await json("status")).backup).toMatchObject({
			counts: { damaged: 1, goodFull: 1 },
		});
	});
});
