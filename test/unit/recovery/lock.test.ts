/** The lock with real processes: who is dead cannot be fabricated. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { acquireLock, LockedError, type LockOwner, lockFile, lockHolder } from "../../../recovery/lock.ts";

let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "lock-test-"));
});

afterEach(async () => {
	await Promise.all(children.splice(0).map(kill));
	rmSync(directory, { recursive: true, force: true });
});

/** A process that takes locks 0…count-1 of the directory and holds them; resolves with those that it got. */
async function contend(count: number, start = 0, step = 0): Promise<{ child: ChildProcess; won: number[] }> {
	const program = join(import.meta.dirname, "lock-contender.ts");
	const child = spawn(process.execPath, [program, directory, ...[count, start, step].map(String)], {
		stdio: ["pipe", "pipe", "inherit"],
		env: { ...process.env, NODE_OPTIONS: "" },
	});
	children.push(child);
	const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
	const [line] = (await once(lines, "line")) as [string];
	return { child, won: JSON.parse(line) as number[] };
}

async function kill(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const closed = once(child, "close");
	child.kill("SIGKILL");
	await closed;
}

const readOwner = (file: string) => JSON.parse(readFileSync(file, "utf8")) as LockOwner;

/** Rewrites the record of a lock; who holds the kernel's lock on the file still holds it. */
function alter(file: string, change: Partial<LockOwner>): void {
	writeFileSync(file, JSON.stringify({ ...readOwner(file), ...change }));
}

/** Puts a record in the place of a lock that no living process has anything to do with. */
function abandon(file: string, change: Partial<LockOwner>): void {
	const record = { ...readOwner(file), ...change };
	rmSync(file);
	writeFileSync(file, JSON.stringify(record));
}

describe("a free lock", () => {
	test("is taken, says by whom, for what and since when, and is released", () => {
		const file = join(directory, "0.lock");
		const before = new Date().toISOString();
		const lock = acquireLock(file, "backup");
		expect(lockHolder(file)).toMatchObject({ operation: "backup", pid: process.pid, token: lock.token });
		expect((lockHolder(file)?.since ?? "") >= before).toBe(true);
		lock.release();
		expect(lockHolder(file)).toBeUndefined();
		expect(readdirSync(directory)).toEqual([]);
	});

	test("is readable for its owner alone, in a directory that is made with mode 700", () => {
		const file = join(directory, "backups", "0.lock");
		acquireLock(file, "up");
		expect(statSync(file).mode & 0o777).toBe(0o600);
		expect(statSync(join(directory, "backups")).mode & 0o777).toBe(0o700);
	});

	test("is another one for another stack", () => {
		expect(lockFile("/b", "dev")).not.toBe(lockFile("/b", "prod"));
		acquireLock(lockFile(directory, "dev"), "up");
		expect(() => acquireLock(lockFile(directory, "prod"), "up")).not.toThrow();
	});
});

describe("a lock that a living process holds", () => {
	test("is refused, the message naming user, host, process, operation, start and file", () => {
		const file = join(directory, "0.lock");
		acquireLock(file, "restore");
		const { user, host, since } = readOwner(file);
		expect(() => acquireLock(file, "up")).toThrow(
			`${user}@${host} (process ${process.pid}) has been running "restore" on this stack since ${since}; nothing was changed. Wait for it, or end that process. Lock: ${file}`,
		);
		expect(readOwner(file).operation).toBe("restore");
		expect(readdirSync(directory)).toEqual(["0.lock"]);
	});

	test("is refused to another process too, and is had once it is released", async () => {
		const lock = acquireLock(join(directory, "0.lock"), "up");
		expect((await contend(1)).won).toEqual([]);
		lock.release();
		expect((await contend(1)).won).toEqual([0]);
	});

	test("is not released by one who held it before", () => {
		const file = join(directory, "0.lock");
		const first = acquireLock(file, "first");
		first.release();
		const second = acquireLock(file, "second");
		first.release();
		expect(lockHolder(file)?.token).toBe(second.token);
	});

	test("is not released by one whose own lock was removed by hand in the meantime", () => {
		const file = join(directory, "0.lock");
		const first = acquireLock(file, "first");
		rmSync(file);
		const second = acquireLock(file, "second");
		first.release();
		expect(lockHolder(file)?.token).toBe(second.token);
	});

	test("counts as held when its owner lives in another container, where its process cannot be seen", () => {
		const file = join(directory, "0.lock");
		acquireLock(file, "backup");
		alter(file, { pid: 999_999_999, pidNamespace: "pid:[1]" });
		expect(() => acquireLock(file, "up")).toThrow(LockedError);
	});

	test("counts as held where the kernel cannot be asked and the owner is on another host or in a container", () => {
		const file = join(directory, "0.lock");
		acquireLock(file, "up");
		const { host, bootId } = readOwner(file);
		const blind = { kernelLock: false, pid: 999_999_999 };
		abandon(file, { ...blind, host: "elsewhere", bootId: "another" });
		expect(() => acquireLock(file, "up")).toThrow(LockedError);
		abandon(file, { ...blind, host, bootId, pidNamespace: "pid:[1]" });
		expect(() => acquireLock(file, "up")).toThrow(LockedError);
	});

	test("is not taken for free because it cannot be read", () => {
		// A directory in its place cannot be read by anybody, root included.
		const file = join(directory, "0.lock");
		mkdirSync(file);
		expect(() => lockHolder(file)).toThrow(/0\.lock/);
		expect(() => acquireLock(file, "up")).toThrow(/0\.lock/);
		expect(readdirSync(directory)).toEqual(["0.lock"]);
	});
});

describe("a lock whose owner is dead", () => {
	test("is broken after a SIGKILL", async () => {
		const { child, won } = await contend(1);
		expect(won).toEqual([0]);
		const file = join(directory, "0.lock");
		expect(lockHolder(file)?.pid).toBe(child.pid);
		expect(() => acquireLock(file, "up")).toThrow(LockedError);
		await kill(child);
		expect(lockHolder(file)).toBeUndefined();
		const lock = acquireLock(file, "up");
		expect(lockHolder(file)?.token).toBe(lock.token);
		expect(readdirSync(directory)).toEqual(["0.lock"]);
	});

	test.each([true, false])(
		"is broken although another process has its pid by now (the kernel can be asked: %s)",
		(kernelLock) => {
			const file = join(directory, "0.lock");
			acquireLock(file, "up");
			abandon(file, { processStart: "1", kernelLock });
			expect(lockHolder(file)).toBeUndefined();
			expect(() => acquireLock(file, "up")).not.toThrow();
		},
	);

	test.each([true, false])(
		"is broken after a restart of the host (the kernel can be asked: %s)",
		(kernelLock) => {
			const file = join(directory, "0.lock");
			acquireLock(file, "up");
			abandon(file, { bootId: "the boot before", kernelLock });
			expect(lockHolder(file)).toBeUndefined();
			expect(() => acquireLock(file, "up")).not.toThrow();
		},
	);

	// Without the flock program nobody can tell, and such a lock is left alone.
	const withFlock = spawnSync("flock", ["--version"]).status === 0 ? test : test.skip;
	withFlock(
		"is broken after its container has gone, although its processes could not be seen from here",
		() => {
			const file = join(directory, "0.lock");
			acquireLock(file, "backup");
			abandon(file, { pid: 7, pidNamespace: "pid:[1]", kernelLock: true });
			expect(lockHolder(file)).toBeUndefined();
			expect(() => acquireLock(file, "up")).not.toThrow();
		},
	);

	test("is looked at without being changed", async () => {
		const { child } = await contend(1);
		await kill(child);
		const file = join(directory, "0.lock");
		const before = readFileSync(file, "utf8");
		lockHolder(file);
		expect(readFileSync(file, "utf8")).toBe(before);
	});

	test("is broken although an earlier breaker of it was killed half way", async () => {
		const { child } = await contend(1);
		await kill(child);
		const file = join(directory, "0.lock");
		const half = `${file}.breaking`;
		writeFileSync(half, readFileSync(file));
		const lock = acquireLock(file, "up");
		expect(lockHolder(file)?.token).toBe(lock.token);
		expect(readdirSync(directory)).toEqual(["0.lock"]);
	});

	test.each(["", "{", "null", '{"pid":1}'])("is broken when a power failure left %j of it", (text) => {
		const file = join(directory, "0.lock");
		writeFileSync(file, text);
		expect(lockHolder(file)).toBeUndefined();
		expect(() => acquireLock(file, "up")).not.toThrow();
	});

	test("goes to exactly one of eight processes that find it at once, sixty times", async () => {
		const rounds = 60;
		const { child, won } = await contend(rounds);
		expect(won).toHaveLength(rounds);
		await kill(child);
		const start = Date.now() + 1500;
		const contenders = await Promise.all(Array.from({ length: 8 }, () => contend(rounds, start, 120)));
		const winners = Array.from({ length: rounds }, (_, round) =>
			contenders.filter((contender) => contender.won.includes(round)),
		);
		expect(winners.map((who) => who.length)).toEqual(Array.from({ length: rounds }, () => 1));
		for (const [round, [winner]] of winners.entries()) {
			expect(readOwner(join(directory, `${round}.lock`)).pid).toBe(winner?.child.pid);
		}
		expect(readdirSync(directory)).toHaveLength(rounds);
	}, 60_000);
});
