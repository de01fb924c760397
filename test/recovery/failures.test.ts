/** Failures injected for real: whatever happens, no file looks good that is not, and older ones are untouched. */
import { spawn } from "node:child_process";
import { readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { acquireLock, LockedError, lockFile, lockHolder } from "../../recovery/lock.ts";
import { docker, type Outcome, Rig, run } from "./rig.ts";

const rig = new Rig("failures");
const lock = () => lockFile(rig.backups, "test");
let good = "";

beforeAll(async () => {
	await rig.start();
	rig.sql(
		"CREATE TABLE record(id int, note text); INSERT INTO record SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 400000) g;",
	);
	rig.shell("for i in $(seq 1 30); do head -c 3000000 /dev/urandom > /media/$i; done; echo x > /static/x");
	good = rig.backup();
}, 240_000);
afterAll(() => rig.stop(), 60_000);

/** What must hold after every failure. */
afterEach(() => {
	expect(rig.files().filter((name) => name.startsWith(".partial"))).toEqual([]);
	expect(rig.files()).toContain(good);
	for (const archive of rig.archives()) expect(rig.index(archive).verified.ok).toBe(true);
	expect(rig.archives()).toContain(readlinkSync(join(rig.backups, "latest.tar.gz")));
	expect(lockHolder(lock())).toBeUndefined();
});

/** A backup that goes on; `container` can be killed. */
function begin(args = ["backup"], extra: string[] = []): { container: string; ended: Promise<Outcome> } {
	const container = `${rig.name}-run-${Math.random().toString(36).slice(2)}`;
	const child = spawn("docker", [
		"run",
		"--rm",
		`--name=${container}`,
		...rig.sidecarArguments(extra),
		rig.agentImage,
		...args,
	]);
	let stdout = "";
	let stderr = "";
	child.stdout.on("data", (data) => {
		stdout += data;
	});
	child.stderr.on("data", (data) => {
		stderr += data;
	});
	const ended = new Promise<Outcome>((resolve) =>
		child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr })),
	);
	return { container, ended };
}

async function until(condition: () => boolean, what: string): Promise<void> {
	for (const deadline = Date.now() + 30_000; !condition(); ) {
		if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
		await sleep(20);
	}
}

function failed(outcome: Outcome, code: number, message: RegExp): void {
	expect(outcome.stderr).toMatch(message);
	expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
	const status = JSON.parse(readFileSync(join(rig.backups, ".test.status.json"), "utf8"));
	expect(status.lastRun.outcome).toBe("failed");
}

test("a backend killed in mid-dump fails the run and leaves nothing", async () => {
	const before = rig.files();
	const { ended } = begin();
	await until(
		() =>
			rig.sql(
				"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND query LIKE 'COPY%'",
			) !== "0",
		"pg_dump at work",
	);
	failed(await ended, 1, /pg_dump failed: .*(terminating connection|server closed)/);
	expect(rig.files()).toEqual(before);
}, 60_000);

test("a killed snapshot session fails the run and leaves nothing", async () => {
	const { ended } = begin();
	await until(
		() =>
			rig.sql(
				"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'persistent-stack backup'",
			) !== "0",
		"the snapshot's session",
	);
	failed(await ended, 1, /terminat|Connection|snapshot/i);
}, 60_000);

test("a wrong password, a line end after the right one, and no database each say so before the dump", () => {
	rig.writeSecrets("wrong");
	failed(rig.agent(["backup"]), 4, /refuses the password of postgres.*nothing was dumped/);
	rig.writeSecrets(`${rig.password}\n`);
	const warned = rig.agent(["backup-db"]);
	expect(warned.stderr).toMatch(/ends with a line end, which was left out/);
	expect(warned.code).toBe(0);
	rig.writeSecrets();
	failed(rig.agent(["backup"], ["--env=DATABASE_NAME=elsewhere"]), 1, /has no database elsewhere/);
	failed(
		rig.agent(["backup"], ["--env=DATABASE_PORT=1"]),
		1,
		/the database is not running or does not answer at db:1.*start db/,
	);
	failed(rig.agent(["backup"], ["--env=REDIS_PORT=1"]), 1, /Redis at redis:1 is not running.*start redis/);
}, 60_000);

test("a server newer than pg_dump is refused before the dump", () => {
	const old = join(rig.directory, "secrets", "pg_dump");
	writeFileSync(old, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 16.4'\n", { mode: 0o755 });
	failed(
		rig.agent(["backup"], [`--volume=${old}:/usr/lib/postgresql/17/bin/pg_dump:ro`]),
		1,
		/server is PostgreSQL 17.*16\.4.*cannot dump it; nothing was dumped/,
	);
}, 60_000);

test("a table that stays locked is said, within the time set", () => {
	rig.config = { ...rig.config, tableLockSeconds: 1 };
	const holder = spawn("docker", [
		"exec",
		`${rig.name}-db`,
		"psql",
		"-U",
		"postgres",
		"backend_db",
		"-c",
		"BEGIN; LOCK TABLE record; SELECT pg_sleep(6)",
	]);
	run("sleep", ["1"]);
	failed(rig.agent(["backup"]), 1, /a table stayed locked by another session.*nothing was dumped/);
	holder.kill();
	rig.config = { ...rig.config, tableLockSeconds: 60 };
	rig.sql(
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(6)%' AND pid <> pg_backend_pid()",
	);
}, 60_000);

test("a file that cannot be read fails the run: it is not left out in silence", () => {
	rig.shell("echo secret > /media/private; chown 10001:10001 /media/private; chmod 0600 /media/private");
	run("chown", ["-R", "4321:4321", rig.backups]);
	const options = rig
		.sidecarArguments(["--user=4321:4321"])
		.filter((option) => !option.startsWith("--cap-add"));
	failed(
		run("docker", ["run", "--rm", ...options, rig.agentImage, "backup"]),
		1,
		/media could not be read: .\/private: Cannot open: Permission denied/,
	);
	run("chown", ["-R", "0:0", rig.backups]);
}, 60_000);

test("a full disk fails the run: foreseen where it can be, and in the middle where it cannot", () => {
	const small = (size: string, ...args: string[]) =>
		run("docker", [
			...[
				"run",
				"--rm",
				"--init",
				rig.label,
				`--network=${rig.name}`,
				`--tmpfs=/backups:size=${size},mode=0700`,
				`--env=AGENT_CONFIG=${JSON.stringify(rig.config)}`,
			],
			...[
				`--volume=${rig.name}-media:/data/media:ro`,
				`--volume=${rig.name}-static:/data/static:ro`,
				`--volume=${rig.directory}/secrets:/run/secrets:ro`,
			],
			...[
				"--entrypoint=sh",
				rig.agentImage,
				"-c",
				`${args.join(" ")} agent backup; code=$?; ls -A /backups; exit $code`,
			],
		]);
	const foreseen = small("20m");
	expect(foreseen.code).toBe(1);
	expect(foreseen.stderr).toMatch(
		/too full: the recovery point needs about \d+ MB, and \d+(\.\d)? MB are free; nothing was written/,
	);
	// du is made to lie, so that the space runs out while writing.
	for (const size of ["60m", "95m"]) {
		const sudden = small(
			size,
			"printf '#!/bin/sh\\necho 0' > /usr/local/bin/du; chmod +x /usr/local/bin/du;",
		);
		expect(sudden.code).toBe(1);
		expect(sudden.stderr).toMatch(/is full; no recovery point was made/);
		expect(sudden.stdout.trim()).toBe(".test.status.json");
	}
}, 120_000);

test("SIGKILL at any stage leaves nothing that looks good; the next run clears the remains", async () => {
	for (const delay of [200, 350, 500, 700, 900, 1100, 1400, 1700, 2000, 600]) {
		const before = rig.archives();
		const { container, ended } = begin();
		await until(() => run("docker", ["exec", container, "true"]).code === 0, "the container");
		await sleep(delay);
		run("docker", ["kill", "--signal=KILL", container]);
		const { code, stdout } = await ended;
		const after = rig.archives();
		// It was killed, or it had just finished; a file that is there is whole.
		if (code === 0) expect(after).toContain(stdout.trim());
		for (const file of after) {
			if (before.includes(file)) continue;
			expect(rig.index(file).verified.ok).toBe(true);
			expect(run("gzip", ["-t", join(rig.backups, file)]).code).toBe(0);
		}
		expect(lockHolder(lock())).toBeUndefined();
	}
	expect(rig.files().filter((name) => name.startsWith(".partial"))).toHaveLength(1);
	const { code, stderr } = rig.agent(["backup"]);
	expect(code).toBe(0);
	expect(stderr).toMatch(/remains of a killed run were removed/);
}, 180_000);

test("SIGTERM ends a run cleanly", async () => {
	const before = rig.archives();
	const { container, ended } = begin();
	await until(() => rig.files().some((name) => name.startsWith(".partial")), "the run's files");
	docker("kill", "--signal=TERM", container);
	expect((await ended).code).toBe(143);
	expect(rig.archives()).toEqual(before);
}, 60_000);

test("of several at once one wins, and the others name it; a dead owner's lock is broken on both sides", async () => {
	const runs = [begin(), begin(), begin(["backup-db"])];
	const outcomes = await Promise.all(runs.map((one) => one.ended));
	const losers = outcomes.filter((one) => one.code !== 0);
	expect(losers.length).toBeGreaterThanOrEqual(1);
	for (const loser of losers)
		expect(loser.stderr).toMatch(/has been running \\"(manual|database) backup\\" on this stack since/);

	// The host holds it: the container names the host's process, and takes it when that is killed.
	const program = `import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, "../../recovery/lock.ts"))}; acquireLock(${JSON.stringify(lock())}, "clean-all"); console.log("held"); setInterval(() => {}, 1000);`;
	const host = spawn(process.execPath, ["--input-type=module", "-e", program], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await new Promise((resolve) => host.stdout.once("data", resolve));
	const refused = rig.agent(["backup-db"]);
	expect(refused.stderr).toContain(`(process ${host.pid}) has been running \\"clean-all\\"`);
	expect(refused.code).not.toBe(0);
	host.kill("SIGKILL");
	await new Promise((resolve) => host.once("close", resolve));
	expect(rig.agent(["backup-db"]).code).toBe(0);

	// The container holds it: the host names it, and takes it when that is killed.
	const { container, ended } = begin();
	await until(() => lockHolder(lock()) !== undefined, "the container's lock");
	expect(() => acquireLock(lock(), "restore")).toThrow(LockedError);
	run("docker", ["kill", "--signal=KILL", container]);
	await ended;
	acquireLock(lock(), "restore").release();
	// What the killed run left is for the next one.
	expect(rig.agent(["backup-db"]).code).toBe(0);
}, 120_000);

test("a run under its caller's lock does not take it for a stranger's", () => {
	const held = acquireLock(lock(), "restore");
	try {
		expect(rig.agent(["backup-db"]).code).toBe(1);
		expect(
			rig.agent(["backup-db", "--class", "safety"], [`--env=PERSISTENT_STACK_LOCK_TOKEN=${held.token}`]).code,
		).toBe(0);
		expect(lockHolder(lock())?.token).toBe(held.token);
	} finally {
		held.release();
	}
}, 60_000);

test("retention follows a good run only, and keeps the floor when it is set to 0", () => {
	rig.config = {
		...rig.config,
		retentionDays: { daily: 0, weekly: 0, manual: 0, safety: 0 },
		minimumCopies: 2,
	};
	writeFileSync(join(rig.backups, "full_backup_20200101_000000.tar.gz"), "the old script's");
	writeFileSync(join(rig.backups, "notes.txt"), "mine");
	const before = rig.files();
	rig.writeSecrets("wrong");
	expect(rig.agent(["backup"]).code).toBe(4);
	expect(rig.files()).toEqual(before);
	rig.writeSecrets();
	const dry = JSON.parse(rig.agent(["prune", "--dry-run", "--json"]).stdout);
	const planned = dry.decisions
		.filter((one: { action: string }) => one.action === "delete")
		.map((one: { file: string }) => one.file);
	expect(rig.files()).toEqual(before);
	const real = JSON.parse(rig.agent(["prune", "--json"]).stdout);
	expect(real.deleted).toEqual(planned);
	good = rig.backup();
	const full = rig.archives().filter((name) => name.startsWith("full") && !name.includes("2020"));
	expect(full).toHaveLength(2);
	expect(rig.files()).toEqual(expect.arrayContaining(["full_backup_20200101_000000.tar.gz", "notes.txt"]));
	rmSync(join(rig.backups, "full_backup_20200101_000000.tar.gz"));
	rig.config = {
		...rig.config,
		retentionDays: { daily: 7, weekly: 28, manual: 30, safety: 14 },
		minimumCopies: 3,
	};
}, 120_000);
