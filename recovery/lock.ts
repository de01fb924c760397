/**
 * The one lock of a stack: up, destroy, backup, restore and clean hold it, and each names the holder it meets.
 *
 * It is a file in the backup directory, the one place that the operator's commands and the backup sidecar
 * share. A dead owner's lock is broken; a live one's never is.
 *
 * Whether an owner lives is the kernel's to say: it holds an flock on the file from before the file has its
 * name, and the kernel drops that when the process ends, however it ends. Processes of the host and of a
 * container see the same lock, though not each other. Where there is no `flock` program, the owner's process
 * id decides, and an owner in another pid namespace counts as alive.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
	closeSync,
	fstatSync,
	linkSync,
	mkdirSync,
	openSync,
	readFileSync,
	readlinkSync,
	rmSync,
	statSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
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
	/** Whether the owner holds the kernel's lock on the file as long as it lives. */
	readonly kernelLock?: boolean;
}

/** Milliseconds for which others may be breaking a dead owner's lock before one of them counts as its owner. */
const breakingTime = 5000;

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

/** Whether a file is one that somebody wrote on the way to the lock; it stays behind when that one is killed. */
export function isLockDraft(name: string, stack: string): boolean {
	const draft = `${lockFile("", stack)}.`;
	return name.startsWith(draft) && /^[0-9a-f-]{36}$/.test(name.slice(draft.length));
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
	const descriptor = openSync(draft, "wx", 0o600);
	try {
		const kernelLock = flock(descriptor, "exclusive") === "taken";
		writeFileSync(descriptor, JSON.stringify({ ...owner, kernelLock }));
		const holder = take(draft, file);
		if (holder) throw new LockedError(holder, file);
	} catch (error) {
		closeSync(descriptor);
		throw error;
	} finally {
		unlinkSync(draft);
	}
	let released = false;
	return {
		token: owner.token,
		release: () => {
			// Once: by the second time the number may be that of another open file.
			if (released) return;
			released = true;
			if (readOwner(file)?.token === owner.token) rmSync(file, { force: true });
			closeSync(descriptor);
		},
	};
}

/**
 * The living owner of the lock; undefined when it is free or its owner is dead. Changes nothing.
 *
 * @throws RunError when the lock exists and cannot be read: who holds it is then not known.
 */
export function lockHolder(file: string): LockOwner | undefined {
	for (;;) {
		const owner = readOwner(file);
		const state = owner && ownerState(owner, file);
		if (state !== "changed") return state === "alive" ? owner : undefined;
	}
}

/** Puts the draft in the place of `file`. Returns the living owner who is in the way; undefined when it was taken. */
function take(draft: string, file: string): LockOwner | undefined {
	const deadline = Date.now() + breakingTime;
	while (!tryLink(draft, file)) {
		const owner = readOwner(file);
		if (!owner) continue;
		const state = ownerState(owner, file);
		if (state === "alive") return owner;
		if (state === "changed") continue;
		const breaker = breakDeadLock(draft, file);
		if (breaker && Date.now() > deadline) return breaker;
	}
	return undefined;
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

/**
 * Removes a lock whose owner is dead. Only who holds the right to do so may, and that is a lock of its own:
 * whoever looks and then removes without it removes, now and then, the lock of one who was quicker.
 *
 * @returns who is breaking it just now, where that is another.
 */
function breakDeadLock(draft: string, file: string): LockOwner | undefined {
	const right = `${file}.breaking`;
	const breaker = take(draft, right);
	if (breaker) {
		Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
		return breaker;
	}
	try {
		const owner = readOwner(file);
		if (owner && ownerState(owner, file) === "dead") rmSync(file);
		return undefined;
	} finally {
		rmSync(right);
	}
}

/** Undefined when there is no lock. A record that is not whole, as a power failure leaves it, has no token. */
function readOwner(file: string): LockOwner | undefined {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw new RunError(
			`the lock ${file} cannot be read (${(error as Error).message}), so who holds it is not known; nothing was changed. Run this as the user who owns it.`,
		);
	}
	try {
		return Object(JSON.parse(text)) as LockOwner;
	} catch {
		return { ...thisProcess(), operation: "", since: "", token: "" };
	}
}

/** `changed`: while it was looked at, the lock was released, or became another's. */
type OwnerState = "alive" | "dead" | "changed";

function ownerState(owner: LockOwner, file: string): OwnerState {
	if (!owner.token) return "dead";
	const asked = owner.kernelLock ? askKernel(file) : "unknown";
	if (asked !== "unknown") return asked;
	return isRunning(owner) ? "alive" : "dead";
}

function isRunning(owner: LockOwner): boolean {
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

/** Whether somebody holds the kernel's lock on the file that has this name. */
function askKernel(file: string): OwnerState | "unknown" {
	let descriptor: number;
	try {
		descriptor = openSync(file, "r");
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "ENOENT" ? "changed" : "unknown";
	}
	try {
		// Shared: two who look at once must not take each other for the owner.
		const outcome = flock(descriptor, "shared");
		if (outcome === "unknown") return "unknown";
		if (outcome === "held") return "alive";
		// An owner removes the name before it lets go. Where the name is still this file's, the owner is dead;
		// where it is not, the one who let go was alive, and the name may be another's by now.
		return isNameOf(file, descriptor) ? "dead" : "changed";
	} finally {
		closeSync(descriptor);
	}
}

function isNameOf(file: string, descriptor: number): boolean {
	const named = statSync(file, { throwIfNoEntry: false });
	const opened = fstatSync(descriptor);
	return named !== undefined && named.ino === opened.ino && named.dev === opened.dev;
}

/**
 * Takes the kernel's lock on an open file for this process: it belongs to the open file, which the `flock`
 * program shares with its caller, and stays when that program ends.
 */
function flock(descriptor: number, kind: "exclusive" | "shared"): "taken" | "held" | "unknown" {
	const { status } = spawnSync("flock", ["--nonblock", `--${kind}`, "--conflict-exit-code", "75", "3"], {
		stdio: ["ignore", "ignore", "ignore", descriptor],
	});
	if (status === 0) return "taken";
	return status === 75 ? "held" : "unknown";
}

function thisProcess(): Pick<
	LockOwner,
	"user" | "host" | "pid" | "processStart" | "bootId" | "pidNamespace"
> {
	return {
		// A container may run under an id that has no name.
		user: orEmpty(() => userInfo().username) || String(process.getuid?.() ?? ""),
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
