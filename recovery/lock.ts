/**
 * The one lock of a stack: up, destroy, backup, restore and clean hold it, and each names the holder it meets.
 *
 * It is a file in the backup directory, the one place that the operator's commands and the backup sidecar
 * share. A dead owner's lock is broken; a live one's never is.
 */
import { randomUUID } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, readlinkSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { RunError } from "../components/run-error.ts";

/** Environment variable by which a holder tells the programs it starts that the lock is theirs. */
export const lockTokenVariable = "PERSISTENT_STACK_LOCK_TOKEN";

export interface LockOwner {
	/** What the owner is doing, such as `up`. */
	readonly operation: string;
	readonly user: string;
	readonly host: string;
	readonly pid: number;
	/** Start of the process in clock ticks since boot; tells a reused pid. Empty where the system has none. */
	readonly processStart: string;
	readonly bootId: string;
	readonly pidNamespace: string;
	/** ISO 8601, UTC. */
	readonly since: string;
	readonly token: string;
}

export class LockedError extends RunError {
	override readonly name = "LockedError";
	readonly owner: LockOwner;

	constructor(owner: LockOwner, file: string) {
		super(
			`${owner.user}@${owner.host} (process ${owner.pid}) has been running "${owner.operation}" on this stack since ${owner.since}; nothing was changed. Wait for it, or end that process. Lock: ${file}`,
		);
		this.owner = owner;
	}
}

export function lockFile(backupDirectory: string, stack: string): string {
	return join(backupDirectory, `.${stack}.lock`);
}

export interface Lock {
	readonly token: string;
	release(): void;
}

/**
 * Takes the lock.
 *
 * @throws LockedError when a living owner has it.
 */
export function acquireLock(file: string, operation: string): Lock {
	mkdirSync(join(file, ".."), { recursive: true, mode: 0o700 });
	const owner: LockOwner = {
		...thisProcess(),
		operation,
		since: new Date().toISOString(),
		token: randomUUID(),
	};
	const draft = `${file}.${owner.token}`;
	writeFileSync(draft, JSON.stringify(owner), { mode: 0o600 });
	try {
		for (let attempt = 0; !tryLink(draft, file); attempt++) {
			const holder = lockHolder(file);
			if (holder) throw new LockedError(holder, file);
			if (attempt > 10) throw new Error(`the lock ${file} can be neither taken nor read; look at the file`);
			breakDeadLock(file);
		}
	} finally {
		unlinkSync(draft);
	}
	return {
		token: owner.token,
		release: () => {
			if (readOwner(file)?.token === owner.token) rmSync(file, { force: true });
		},
	};
}

/** The living owner of the lock; undefined when it is free or its owner is dead. Changes nothing. */
export function lockHolder(file: string): LockOwner | undefined {
	const owner = readOwner(file);
	return owner && isAlive(owner) ? owner : undefined;
}

/** A hard link fails when the name exists, and the file is whole from its first moment. */
function tryLink(from: string, to: string): boolean {
	try {
		linkSync(from, to);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}

/** Two who find a dead lock at once must not remove each other's new one: only the dead owner's goes. */
function breakDeadLock(file: string): void {
	const aside = `${file}.dead-${randomUUID()}`;
	try {
		linkSync(file, aside);
	} catch {
		return;
	}
	const owner = readOwner(aside);
	if (!owner || !isAlive(owner)) {
		const current = readOwner(file);
		if (current?.token === owner?.token) rmSync(file, { force: true });
	}
	rmSync(aside, { force: true });
}

function readOwner(file: string): LockOwner | undefined {
	try {
		return JSON.parse(readFileSync(file, "utf8")) as LockOwner;
	} catch {
		return undefined;
	}
}

function isAlive(owner: LockOwner): boolean {
	const here = thisProcess();
	if (owner.host !== here.host && owner.bootId !== here.bootId) return true;
	if (owner.bootId !== here.bootId) return false;
	// Another pid namespace of the same boot: its processes cannot be seen from here, so it counts as alive.
	if (owner.pidNamespace !== here.pidNamespace) return true;
	if (owner.processStart) return processStart(owner.pid) === owner.processStart;
	try {
		process.kill(owner.pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

function thisProcess(): Pick<
	LockOwner,
	"user" | "host" | "pid" | "processStart" | "bootId" | "pidNamespace"
> {
	return {
		user: userInfo().username,
		host: hostname(),
		pid: process.pid,
		processStart: processStart(process.pid),
		bootId: orEmpty(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
		pidNamespace: orEmpty(() => readlinkSync("/proc/self/ns/pid")),
	};
}

/** Field 22 of /proc/<pid>/stat; the command's name before it may hold spaces and parentheses. */
function processStart(pid: number): string {
	return orEmpty(() => {
		const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
		return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
	});
}

function orEmpty(read: () => string): string {
	try {
		return read();
	} catch {
		return "";
	}
}
