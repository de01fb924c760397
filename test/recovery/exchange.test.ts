/** An exchange killed at every step and at any moment: continued or turned back, nothing is lost or mixed. */
import { spawn, spawnSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	lutimesSync,
	mkdirSync,
	mkdtempSync,
	rmSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DisturbedError, Exchange, stagingName } from "../../recovery/exchange.ts";

const hidden = stagingName("0123abcd");
const module = new URL("../../recovery/exchange.ts", import.meta.url).href;
const long = process.env.STACK_TEST_LONG !== undefined;
let root: string;

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "exchange-"));
});

afterEach(() => {
	rmSync(root, { recursive: true, force: true });
});

/** Entries that both sides have, of the same and of other types, and some that one side has alone. */
function fill(directory: string, side: string, extra: number): void {
	mkdirSync(join(directory, "both-directories", side), { recursive: true });
	writeFileSync(join(directory, "both-directories", "file"), side);
	writeFileSync(join(directory, "both-files"), side);
	if (side === "old") mkdirSync(join(directory, "directory-then-file"));
	else writeFileSync(join(directory, "directory-then-file"), side);
	symlinkSync(side, join(directory, "both-links"));
	lutimesSync(join(directory, "both-links"), 1, 2);
	writeFileSync(Buffer.concat([Buffer.from(`${directory}/latin`), Buffer.from([0xe9])]), side);
	writeFileSync(join(directory, `only-${side}`), side);
	for (let i = 0; i < extra; i++) writeFileSync(join(directory, `${side}-${i}`), side);
	utimesSync(directory, 1_000_000_000, side === "old" ? 1_111_111_111.123_456 : 1_222_222_222.654_321);
	chmodSync(directory, side === "old" ? 0o751 : 0o705);
}

function build(extra = 0): Exchange {
	fill(root, "old", extra);
	const exchange = new Exchange(root, hidden);
	exchange.prepare();
	fill(exchange.new, "new", extra);
	return exchange;
}

/** Everything that is seen in a directory, but for the hidden one: attributes, links and content. */
function listing(directory: string): string {
	const script = `cd "$0" && find . -name '${hidden}' -prune -o -printf '%p %y %m %U:%G %T@ %l\\n' | LC_ALL=C sort
		find . -name '${hidden}' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum`;
	return spawnSync("sh", ["-c", script, directory], { encoding: "latin1", maxBuffer: 1 << 28 }).stdout;
}

/** Runs a program of exchanges that kills itself after so many changes to the file system. */
function killedAfter(changes: number, steps: string): boolean {
	const program = `
		import fs from "node:fs";
		import { syncBuiltinESMExports } from "node:module";
		let left = ${changes};
		const count = () => { if (left-- === 0) process.kill(process.pid, "SIGKILL"); };
		const counted = (owner, name, original) => { owner[name] = (...values) => { count(); return original.apply(owner, values); }; };
		for (const name of ["renameSync", "rmSync", "mkdirSync", "chmodSync", "chownSync"]) counted(fs, name, fs[name]);
		for (const name of ["rename", "open", "rm"]) counted(fs.promises, name, fs.promises[name]);
		syncBuiltinESMExports();
		const { Exchange } = await import(${JSON.stringify(module)});
		const exchange = new Exchange(${JSON.stringify(root)}, ${JSON.stringify(hidden)});
		${steps}`;
	const { signal, status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
		encoding: "utf8",
		env: { ...process.env, NODE_OPTIONS: "" },
	});
	if (signal === "SIGKILL") return true;
	if (status !== 0) throw new Error(stderr);
	return false;
}

test("the new content takes the place of the old with the root's attributes, and all of it goes back", async () => {
	const exchange = build();
	const before = listing(root);
	const staged = listing(exchange.new);
	expect(exchange.state()).toBe("as-before");
	await exchange.forward();
	expect(listing(root)).toBe(staged);
	expect(exchange.state()).toBe("exchanged");
	await exchange.forward();
	await exchange.back();
	expect([listing(root), listing(exchange.new), exchange.state()]).toEqual([before, staged, "as-before"]);
	await exchange.back();
	exchange.remove();
	expect([listing(root), existsSync(join(root, hidden))]).toEqual([before, false]);
});

test("what is no longer live is removed, or kept under a name of its own, and the root shows neither", async () => {
	const exchange = build();
	const before = listing(root);
	const staged = listing(exchange.new);
	await exchange.forward();
	exchange.keepOld(".persistent-stack-damaged-0123abcd");
	exchange.keepOld(".persistent-stack-damaged-0123abcd");
	expect(existsSync(join(root, hidden))).toBe(false);
	const kept = join(root, ".persistent-stack-damaged-0123abcd");
	const content = (text: string) => text.replace(/^\. d .*\n/m, "");
	expect(content(listing(kept))).toBe(content(before));
	rmSync(kept, { recursive: true });
	expect(content(listing(root))).toBe(content(staged));
});

test("an entry that somebody writes meanwhile is never overwritten, and the message names it", async () => {
	const exchange = build();
	const before = listing(root);
	const moved = join(exchange.old, "both-files");
	for (let changes = 4; !existsSync(moved); changes++) killedAfter(changes, "await exchange.forward();");
	writeFileSync(join(root, "both-files"), "a stranger's");
	await expect(exchange.forward()).rejects.toThrow(DisturbedError);
	await expect(exchange.forward()).rejects.toThrow(/both-files appeared in .*it was not overwritten/);
	rmSync(join(root, "both-files"));
	await exchange.back();
	expect(listing(root)).toBe(before);
});

test.each([
	["forward", "await exchange.forward();"],
	["back", "await exchange.back();"],
])(
	"killed before each change of the way %s, it can be continued and turned back",
	async (direction, steps) => {
		let changes = 0;
		for (let killed = true; killed; changes++) {
			const exchange = build();
			const before = listing(root);
			const staged = listing(exchange.new);
			if (direction === "back") await exchange.forward();
			killed = killedAfter(changes, steps);
			// Alternately, so that each is tried at odd and at even steps in one of the two directions.
			if (changes % 2 === (direction === "back" ? 0 : 1)) {
				await exchange.forward();
				expect([changes, listing(root)]).toEqual([changes, staged]);
			}
			await exchange.back();
			expect([changes, listing(root), listing(exchange.new)]).toEqual([changes, before, staged]);
			rmSync(root, { recursive: true });
			mkdirSync(root);
		}
		expect(changes).toBeGreaterThan(20);
	},
	120_000,
);

test("killed again and again on the way to and fro, it still knows what is whose", async () => {
	const plan = fc.array(fc.tuple(fc.constantFrom("forward", "back"), fc.nat(30)), {
		minLength: 2,
		maxLength: 6,
	});
	await fc.assert(
		fc.asyncProperty(plan, fc.constantFrom("forward", "back"), async (kills, last) => {
			rmSync(root, { recursive: true });
			mkdirSync(root);
			const exchange = build();
			const before = listing(root);
			const staged = listing(exchange.new);
			for (const [direction, changes] of kills) killedAfter(changes, `await exchange.${direction}();`);
			if (last === "forward") await exchange.forward();
			else await exchange.back();
			expect(listing(root)).toBe(last === "forward" ? staged : before);
			await exchange.back();
			expect([listing(root), listing(exchange.new)]).toEqual([before, staged]);
		}),
		{ numRuns: long ? 100 : 8 },
	);
}, 600_000);

test("killed from outside at random moments, the content is one or the other after the next run", async () => {
	const exchange = build(400);
	const before = listing(root);
	const staged = listing(exchange.new);
	const steps = `
		const { Exchange } = await import(${JSON.stringify(module)});
		const exchange = new Exchange(${JSON.stringify(root)}, ${JSON.stringify(hidden)});
		console.log("begun");
		for (;;) { await exchange.forward(); await exchange.back(); }`;
	for (let kill = 0; kill < (long ? 150 : 24); kill++) {
		const child = spawn(process.execPath, ["--input-type=module", "-e", steps], {
			stdio: ["ignore", "pipe", "inherit"],
			env: { ...process.env, NODE_OPTIONS: "" },
		});
		await new Promise((resolve) => child.stdout.once("data", resolve));
		await sleep(Math.random() * 60);
		child.kill("SIGKILL");
		await new Promise((resolve) => child.once("close", resolve));
		if (kill % 2 === 0) {
			await exchange.forward();
			expect(listing(root)).toBe(staged);
		}
		await exchange.back();
		expect([listing(root), listing(exchange.new)]).toEqual([before, staged]);
	}
}, 600_000);
