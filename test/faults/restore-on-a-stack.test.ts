/**
 * A restore that is cut off or fails, on a real stack: the application is down or on the old data, never on a
 * mixture, and the next verb puts it right. `STACK_TEST_LONG=1` tries every phase and random moments as well.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import {
	type RestoreJournal,
	type RestorePhase,
	restoreJournalFile,
	restorePhases,
} from "../../recovery/restore-journal.ts";
import { docker, dockerLines, removeContainers } from "../support/docker.ts";
import { type Content, RestoreProof } from "../support/restore-proof.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up in a test.
jest.setTimeout(300_000);

const long = Boolean(process.env.STACK_TEST_LONG);

let stack: TestStack;
let proof: RestoreProof;
/** What the backup holds, and what is there when it is to be restored. */
let old: Content;
let live: Content;
let full: string;

beforeAll(async () => {
	stack = await TestStack.create();
	proof = new RestoreProof(stack);
	await stack.run(["up"]);
	await proof.seed();
	old = proof.content();
	await stack.run(["backup"]);
	[full = ""] = proof.archives();
	await proof.change();
	live = proof.content();
});

afterAll(() => stack?.cleanUp());

function journal(): RestoreJournal | undefined {
	try {
		return JSON.parse(readFileSync(restoreJournalFile(proof.backups, stack.name), "utf8"));
	} catch {
		return undefined;
	}
}

/** Process ids, on this host, of the helpers that run. */
function helperProcesses(): number[] {
	const filters = ["--filter", "label=persistent-stack.restore"];
	const owner = ["--filter", `label=persistent-stack.owner=persistent-stack/${stack.name}`];
	return dockerLines("ps", "--quiet", ...filters, ...owner)
		.flatMap((id) => dockerLines("inspect", "--format", "{{.State.Pid}}", id))
		.map(Number)
		.filter((id) => id > 0);
}

/** Waits for a phase, or a later one: those that take milliseconds may be over between two looks. */
async function phase(wanted: RestorePhase): Promise<void> {
	const from = restorePhases.indexOf(wanted);
	const deadline = Date.now() + 60_000;
	for (;;) {
		const now = journal()?.phase;
		if (now && restorePhases.indexOf(now) >= from) return;
		if (Date.now() > deadline) throw new Error(`waited a minute for ${wanted}`);
		await sleep(2);
	}
}

type Victim = "the command" | "the command and its helper" | "its helper";

/** Starts a restore, kills who is named when the phase has come, and waits for the command's end. */
async function killAt(wanted: RestorePhase, victim: Victim): Promise<number> {
	const { child, ended } = stack.start(["restore", full, "--yes", "--no-safety-backup"]);
	await phase(wanted);
	// The journal is there before the first helper.
	while (wanted === "staging" && helperProcesses().length === 0) await sleep(20);
	if (victim !== "its helper") process.kill(-(child.pid as number), "SIGKILL");
	if (victim !== "the command") for (const id of helperProcesses()) process.kill(id, "SIGKILL");
	return (await ended).code;
}

/** The whole of one or of the other, answering, with nothing left over. */
async function expectWhole(): Promise<Content> {
	expect(await proof.answers()).toBe(true);
	const content = proof.content();
	expect([old, live]).toContainEqual(content);
	expect(proof.remains()).toEqual([]);
	return content;
}

/** What the next restore changes is the same again. */
async function changeAgain(): Promise<void> {
	if (proof.content().rows === live.rows) return;
	await proof.change();
	live = proof.content();
}

/** So that the database does not start any more. */
function damageDatabase(): void {
	docker("stop", `${stack.name}-db`);
	const damage = "dd if=/dev/zero of=global/pg_control bs=8192 count=1 conv=notrunc 2>/dev/null";
	proof.inVolume("postgres-data", damage);
}

describe("killed", () => {
	afterEach(changeAgain);

	const short: [RestorePhase, Victim][] = [
		["staging", "the command"],
		["staging", "the command and its helper"],
		["swapping", "the command"],
		["swapping", "the command and its helper"],
		["swapped", "the command"],
	];
	const every = restorePhases
		.filter((name) => name !== "undoing" && name !== "undone")
		.flatMap((name) =>
			(["the command", "the command and its helper"] as const).map((victim): [RestorePhase, Victim] => [
				name,
				victim,
			]),
		);

	test.each(long ? every : short)("%s: when %s is killed, start makes it whole", async (wanted, victim) => {
		await killAt(wanted, victim);
		const { stderr } = await stack.run(["start"]);
		const content = await expectWhole();
		if (wanted === "staging") {
			expect(content).toEqual(live);
			expect(stderr).toContain(`the restore of ${full}, begun at `);
			// The helper may have ended by itself before start came to it.
			expect(stderr).toMatch(
				/what was there before is back in place|its own helper has put it right meanwhile/,
			);
		}
	});

	test("when its helper alone is killed, the command itself brings everything back", async () => {
		expect(await killAt("staging", "its helper")).toBe(1);
		expect(await expectWhole()).toEqual(live);
	});

	test("while it is cut off, status says so, and no backup is made before it is put right", async () => {
		await killAt("staging", "the command and its helper");
		expect((await stack.run(["status"])).stdout).toMatch(
			new RegExp(`The restore of ${full} was cut off \\(staging\\)\\. Put it right: \\S+ .* start`),
		);
		const { stderr } = await stack.run(["backup"]);
		expect(stderr).toContain("what was there before is back in place");
		expect(await expectWhole()).toEqual(live);
	});

	test("and its containers removed since: start puts it right before it brings them back", async () => {
		await killAt("swapping", "the command and its helper");
		removeContainers(stack.containerIds());
		const { stderr } = await stack.run(["start"]);
		expect(stderr).toMatch(/container is missing; one is made[\s\S]*back in place/);
		await expectWhole();
	});

	test("and its database damaged since: --rebuild-database puts the files right and brings the backup", async () => {
		await killAt("swapping", "the command and its helper");
		damageDatabase();
		const blocked = await stack.run(["backup"], { mayFail: true });
		expect([blocked.code, blocked.stderr]).toEqual([6, expect.stringMatching(/db \(container .*/)]);
		const options = ["--yes", "--rebuild-database", "--no-safety-backup"];
		const { stderr } = await stack.run(["restore", full, ...options]);
		expect(stderr).toContain("the database does not start, so only the files are put right");
		expect(await expectWhole()).toEqual(old);
	});

	test("Ctrl-C while it stages leaves nothing of it", async () => {
		const { child, ended } = stack.start(["restore", full, "--yes", "--no-safety-backup"]);
		await phase("staging");
		process.kill(-(child.pid as number), "SIGINT");
		expect(await ended).toMatchObject({ code: 130, stderr: expect.stringContaining("nothing was changed") });
		expect(await expectWhole()).toEqual(live);
	});

	const moments = Array.from({ length: long ? 40 : 2 }, () => Math.random() * 8_000);
	test("at random moments", async () => {
		for (const moment of moments) {
			const { child, ended } = stack.start(["restore", full, "--yes", "--no-safety-backup"]);
			// It may be over by then.
			await Promise.race([sleep(moment), ended]);
			if (child.exitCode === null) process.kill(-(child.pid as number), "SIGKILL");
			if (Math.random() < 0.5) for (const id of helperProcesses()) process.kill(id, "SIGKILL");
			await ended;
			await stack.run(["start"]);
			await expectWhole();
			await changeAgain();
		}
	}, 3_000_000);
});

test("an application that does not get healthy on the restored data is put back on the old: exit 6", async () => {
	// The database refuses whoever connects, but only under its own name: it loads without a complaint.
	const trigger = `
		CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_database() = 'backend_db' THEN RAISE EXCEPTION 'refused'; END IF;
		END $$;
		CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION public.refuse();
		ALTER EVENT TRIGGER refuse ENABLE ALWAYS;`;
	const file = join(stack.directory, "refusing.sql");
	const { path } = JSON.parse((await stack.run(["backup-db", "--json"])).stdout);
	writeFileSync(file, `${readFileSync(path, "utf8")}${trigger}`);
	const { code, stderr } = await stack.run(
		["restore", file, "--yes", "--no-safety-backup", "--timeout", "10"],
		{
			mayFail: true,
		},
	);
	expect([code, stderr]).toEqual([
		6,
		expect.stringMatching(/what was there before is back in place: backend/),
	]);
	expect(await expectWhole()).toEqual(live);
});

test("SQL that fails in the middle changes nothing", async () => {
	const file = join(stack.directory, "bad.sql");
	const { path } = JSON.parse((await stack.run(["backup-db", "--json"])).stdout);
	writeFileSync(file, readFileSync(path, "utf8").replace(/^ALTER TABLE ONLY/m, "ALTER TABEL ONLY"));
	const before = proof.starts();
	const { code, stderr } = await stack.run(["restore", file, "--yes", "--no-safety-backup"], {
		mayFail: true,
	});
	expect([code, stderr]).toEqual([
		expect.any(Number),
		expect.stringMatching(/nothing was changed: .*TABEL/s),
	]);
	expect(code).not.toBe(0);
	expect(proof.starts()).toEqual(before);
	expect(await expectWhole()).toEqual(live);
});

test("when the safety backup fails nothing is changed, and the way on without it is named", async () => {
	const secrets = (script: string) =>
		docker("exec", "--user", "0:0", `${stack.name}-backup`, "sh", "-c", `cd /run/secrets; ${script}`);
	const before = proof.starts();
	secrets("mv redis_password aside");
	try {
		const { code, stderr } = await stack.run(["restore", full, "--yes"], { mayFail: true });
		expect(code).not.toBe(0);
		expect(stderr).toMatch(/the safety backup failed, so nothing was changed: [\s\S]*--no-safety-backup/);
	} finally {
		secrets("mv aside redis_password");
	}
	expect(proof.starts()).toEqual(before);
	expect(await expectWhole()).toEqual(live);
});

test("damaged database files are set aside, and the data of the backup takes their place", async () => {
	await changeAgain();
	damageDatabase();
	expect((await stack.run(["start", "--timeout", "20"], { mayFail: true })).code).toBe(6);
	const refused = await stack.run(["restore", full, "--yes"], { mayFail: true });
	expect([refused.code, refused.stderr]).toEqual([
		1,
		expect.stringMatching(/does not start[\s\S]*--rebuild-database/),
	]);
	const lossy = await stack.run(["restore", full, "--yes", "--rebuild-database"], { mayFail: true });
	expect([lossy.code, lossy.stderr]).toEqual([
		2,
		expect.stringMatching(/--only database[\s\S]*--no-safety-backup/),
	]);

	const { stdout } = await stack.run(["restore", full, "--yes", "--rebuild-database", "--only", "database"]);
	expect(stdout).toMatch(/damaged files are kept in \S*\.persistent-stack-damaged-[0-9a-f]{8}/);
	await stack.run(["start"]);
	expect(await proof.answers()).toBe(true);
	expect(proof.content()).toEqual({ ...live, rows: old.rows, users: old.users });
	expect(proof.remains()).toEqual([]);
});
