/** Restores that fail or are killed at every step, with the fault made for real: afterwards all is as before. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { stagingName } from "../../recovery/exchange.ts";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import { fill, spoilContent, spoilFacts } from "../recovery/restore-data.ts";
import { RestoreRig } from "../recovery/restore-rig.ts";
import { docker, type Outcome, run } from "../recovery/rig.ts";

const long = process.env.STACK_TEST_LONG !== undefined;
const rig = new RestoreRig("broken");
let archive = "";
/** What is live before each restore. */
let live = "";
/** What is live after it. */
let restored = "";

beforeAll(async () => {
	await rig.start();
	fill(rig);
	rig.sql(
		"CREATE TABLE big(id int PRIMARY KEY, note text); INSERT INTO big SELECT g, repeat(md5(g::text), 8) FROM generate_series(1, 150000) g;",
	);
	rig.shell("for i in $(seq 1 6); do head -c 2000000 /dev/urandom > /media/big-$i; done");
	restored = rig.state();
	archive = rig.backup();
	spoilContent(rig);
	spoilFacts(rig);
	live = rig.state();
}, 240_000);
afterAll(() => rig.stop(), 60_000);

/** Whatever has happened, the live data are what they were, and nothing of the restore is left. */
afterEach(() => expect(rig.state()).toBe(live), 60_000);

function failed({ code, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
	expect(stderr).toMatch(message);
	expect([code, stdout]).toEqual([expected, ""]);
}

async function until(condition: () => boolean, what: string): Promise<void> {
	for (const deadline = Date.now() + 30_000; !condition(); ) {
		if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
		await sleep(20);
	}
}

/** Waits, in the server itself, until a process of it loads the big table. @returns its id. */
function loader(): string {
	const loads =
		"SELECT pid FROM pg_stat_activity WHERE datname ~ '^restore_' AND query LIKE 'COPY public.big%'";
	const wait = `DO $$ BEGIN
		FOR tries IN 1..6000 LOOP
			PERFORM pg_stat_clear_snapshot();
			IF EXISTS (${loads}) THEN RETURN; END IF;
			PERFORM pg_sleep(0.005);
		END LOOP;
		RAISE 'waited in vain for the dump to be loaded';
	END $$`;
	return rig.sql(`${wait}; ${loads}`, "db", "postgres").split("\n").at(-1) as string;
}

const untouched = /the live data were not touched, and what was staged was removed/;

test("a session that is ended, and a server that dies, while the dump is loaded", async () => {
	for (const kill of [
		(pid: string) => rig.sql(`SELECT pg_terminate_backend(${pid})`),
		// The server ends every session and recovers.
		(pid: string) => docker("exec", `${rig.name}-db`, "bash", "-c", `kill -9 ${pid}`),
	]) {
		const { ended } = rig.beginHelper("stage", "--id", await rig.begin(archive));
		kill(loader());
		const outcome = await ended;
		failed(outcome, 1, /the database went away while the dump was loaded/);
		expect(outcome.stderr).toMatch(untouched);
		rig.waitForDatabase("db");
	}
}, 120_000);

test("a part with one flipped byte, in the files and in the dump, and an archive cut short", async () => {
	const path = join(rig.backups, archive);
	const good = readFileSync(path);
	try {
		for (const [at, part] of [
			[0.4, /media_backup_/],
			[0.97, /db_backup_|the dump does not load|compressed data are damaged/],
		] as const) {
			const bad = Buffer.from(good);
			const position = Math.floor(bad.length * at);
			bad[position] = (bad[position] as number) ^ 0x10;
			writeFileSync(path, bad);
			failed(rig.helper("stage", "--id", await rig.begin(archive)), 7, part);
		}
		writeFileSync(path, good.subarray(0, good.length - 100_000));
		failed(rig.helper("stage", "--id", await rig.begin(archive)), 7, /the archive was cut short/);
	} finally {
		writeFileSync(path, good);
	}
}, 120_000);

test("bad SQL in the middle, a dump of pg_dumpall, and one row too few", async () => {
	const dump = docker("exec", `${rig.name}-db`, "pg_dump", "-U", "postgres", "backend_db");
	const stage = async (name: string, sql: string) => {
		writeFileSync(join(rig.backups, name), `${sql}\n`);
		return rig.helper("stage", "--id", await rig.begin(name, { targets: ["database"] }));
	};
	const middle = dump.indexOf("ALTER TABLE ONLY public.big");
	failed(
		await stage("bad.sql", `${dump.slice(0, middle)}SELECT no_such_function();\n${dump.slice(middle)}`),
		7,
		/the dump does not load: line \d+ of the dump: ERROR:.*no_such_function/,
	);
	failed(
		await stage("all.sql", docker("exec", `${rig.name}-db`, "pg_dumpall", "-U", "postgres")),
		7,
		/reaches beyond its own database \(CREATE ROLE/,
	);
	// The hash fits the manifest, and the manifest does not fit the rows.
	const short = "db_backup_20250202_020202.sql";
	const own = rig.agent(["backup-db"]).stdout.trim();
	copyFileSync(join(rig.backups, own), join(rig.backups, short));
	const index = rig.index(own);
	index.archive = short;
	index.manifest.parts[0].name = short;
	index.manifest.database.rows["public.big"]++;
	writeFileSync(join(rig.backups, `${short}.json`), JSON.stringify(index));
	const outcome = rig.helper("stage", "--id", await rig.begin(short, { targets: ["database"] }));
	failed(outcome, 7, /public\.big has 150000 rows, and 150001 were backed up/);
	expect(outcome.stderr).toMatch(untouched);
}, 120_000);

test("a disk that is too small: said by the check, and noticed in the middle where nobody asked", async () => {
	// A container holds the volume: what is in a tmpfs goes with its last user.
	docker(
		"volume",
		"create",
		rig.label,
		"--opt=type=tmpfs",
		"--opt=device=tmpfs",
		"--opt=o=size=10m",
		`${rig.name}-small`,
	);
	docker(
		...["run", "--detach", rig.label, `--name=${rig.name}-holder`, `--volume=${rig.name}-small:/volume`],
		...["--entrypoint=sh", rig.agentImage, "-c", "echo mine > /volume/file; exec sleep 600"],
	);
	const { media } = rig.volumes;
	rig.volumes.media = `${rig.name}-small`;
	try {
		const before = rig.volume("media");
		failed(
			rig.helper("check", `/source/${archive}`),
			1,
			/the disk with media is too full: the restore needs about \d+ MB beside what is there, and \d+ MB are free; nothing was changed/,
		);
		const outcome = rig.helper("stage", "--id", await rig.begin(archive));
		failed(outcome, 1, /the disk with media is (almost )?full/);
		expect(outcome.stderr).toMatch(untouched);
		expect(rig.volume("media")).toBe(before);
	} finally {
		rig.volumes.media = media as string;
		docker("rm", "--force", "--volumes", `${rig.name}-holder`);
	}
}, 120_000);

test("SIGTERM while staging, and a second helper beside the first", async () => {
	const id = await rig.begin(archive);
	const { container, ended } = rig.beginHelper("stage", "--id", id);
	loader();
	// However long the second takes to come.
	docker("pause", container);
	const second = rig.helper("stage", "--id", id);
	docker("unpause", container);
	failed(second, 1, /has been running \\"restore stage\\"/);
	docker("kill", "--signal=TERM", container);
	failed(await ended, 143, /the run was ended by SIGTERM/);
}, 60_000);

test("a swap that fails after the database was exchanged takes that back too", async () => {
	const id = await rig.begin(archive);
	rig.must("stage", "--id", id);
	// A stranger's entry in the way of the exchange.
	const hidden = `/media/${stagingName(id)}`;
	rig.shell(`mkdir -p ${hidden}/old/late`);
	failed(
		rig.helper("swap", "--id", id),
		1,
		/late appeared in .*could not be undone yet.*start puts it right/,
	);
	expect(rig.phase()).toBe("undoing");
	rig.shell(`rmdir ${hidden}/old/late`);
	rig.must("undo", "--id", id);
}, 60_000);

test("undone after the swap, though the application has already written to the new data", async () => {
	const id = await rig.begin(archive);
	rig.must("stage", "--id", id);
	rig.must("swap", "--id", id);
	rig.sql("CREATE TABLE written_meanwhile(); INSERT INTO record(note) VALUES ('meanwhile')");
	rig.shell("echo meanwhile > /media/meanwhile; rm /media/big-1");
	rig.must("undo", "--id", id);
}, 60_000);

/** Kills a step at a random moment. @returns whether it was still at work. */
async function killed(step: string, id: string, milliseconds: number): Promise<boolean> {
	const { container, ended } = rig.beginHelper(step, "--id", id);
	let over = false;
	ended.finally(() => {
		over = true;
	});
	const state = ["inspect", "--format", "{{.State.Running}}", container];
	await until(() => over || run("docker", state).stdout.trim() === "true", "the helper");
	await sleep(Math.random() * milliseconds);
	run("docker", ["kill", "--signal=KILL", container]);
	return (await ended).code !== 0;
}

test.each([
	["stage", long ? 30 : 2, 2500],
	["swap", long ? 60 : 2, 700],
	["undo", long ? 30 : 2, 700],
])(
	"the helper killed during %s, and then undone",
	async (step, times, milliseconds) => {
		for (let time = 0; time < times; time++) {
			const id = await rig.begin(archive);
			if (step !== "stage") rig.must("stage", "--id", id);
			if (step === "undo") rig.must("swap", "--id", id);
			await killed(step, id, milliseconds);
			if (rig.phase() !== undefined) rig.must("undo", "--id", id);
			expect(rig.state()).toBe(live);
		}
	},
	1_200_000,
);

test.each([
	["swap", long ? 30 : 2],
	["undo", long ? 15 : 1],
])(
	"the database killed during %s: what was there before is back as soon as it runs again",
	async (step, times) => {
		for (let time = 0; time < times; time++) {
			const id = await rig.begin(archive);
			rig.must("stage", "--id", id);
			if (step === "undo") rig.must("swap", "--id", id);
			const { ended } = rig.beginHelper(step, "--id", id);
			await sleep(300 + Math.random() * 700);
			// As Docker starts it again by its policy.
			docker("kill", `${rig.name}-db`);
			docker("start", `${rig.name}-db`);
			await ended;
			rig.waitForDatabase("db");
			if (rig.phase() !== undefined) rig.must("undo", "--id", id);
			expect(rig.state()).toBe(live);
		}
	},
	600_000,
);

test("the helper killed during finish, and then finished: the new data, and nothing of the old is left", async () => {
	const now = rig.backup();
	for (let time = 0; time < (long ? 20 : 1); time++) {
		const id = await rig.begin(archive);
		rig.must("stage", "--id", id);
		rig.must("swap", "--id", id);
		await killed("finish", id, 700);
		if (rig.phase() === "finishing") {
			expect(rig.helper("undo", "--id", id).stderr).toMatch(/there is nothing to go back to/);
		}
		if (rig.phase() !== undefined) rig.must("finish", "--id", id);
		rig.sql("REVOKE only_here FROM reader");
		expect(rig.state()).toBe(restored);
		await rig.restore(now);
	}
	// What is live was restored from its own backup, but for what a backup does not take away again.
	live = rig.state();
}, 1_200_000);

test("what a restore has left whose journal is lost is cleared by the next, and live data of an exchange never", async () => {
	const lost = await rig.begin(archive);
	const { container, ended } = rig.beginHelper("stage", "--id", lost);
	// By then something of it is there.
	loader();
	docker("kill", container);
	await ended;
	const next = await rig.begin(archive);
	const { stderr } = rig.must("stage", "--id", next);
	rig.must("undo", "--id", next);
	const remains = /remains of an earlier restore were removed/;
	if (rig.volume("media").includes(lost)) throw new Error(`the staged files of ${lost} are still there`);
	expect(stderr).toMatch(remains);
	// An exchange half done holds what was live: it is kept, and said.
	const hidden = `/media/${stagingName("0badcafe")}`;
	rig.shell(
		`mkdir -p ${hidden}/old; echo '{}' > ${hidden}/exchange.json; echo precious > ${hidden}/old/precious`,
	);
	const third = await rig.begin(archive);
	expect(rig.must("stage", "--id", third).stderr).toMatch(
		/holds what an earlier restore has put aside; it was left as it is/,
	);
	rig.must("undo", "--id", third);
	expect(rig.shell(`cat ${hidden}/old/precious; rm -r ${hidden}`)).toBe("precious");
	live = rig.state();
}, 120_000);

test("a database whose files are damaged is built anew beside them, and they are kept", async () => {
	const container = `${rig.name}-db`;
	const secrets = join(rig.directory, "secrets");
	const inVolume = (script: string) => {
		const options = ["--rm", rig.label, "--user=999:999", `--volume=${rig.databaseVolume()}:/data`];
		return docker(
			"run",
			...options,
			`--volume=${secrets}:/run/secrets:ro`,
			"--entrypoint=bash",
			rig.images.postgres,
			"-ec",
			script,
		);
	};
	const initialise = (id: string) =>
		inVolume(`
			mkdir -m 0700 /data/${stagingName(id)}; cd /data/${stagingName(id)}
			initdb -D new -U postgres --pwfile=/run/secrets/database_password --auth-host=scram-sha-256 --auth-local=trust > /dev/null
			echo 'host all all all scram-sha-256' >> new/pg_hba.conf; echo "listen_addresses = '*'" >> new/postgresql.conf
			echo 'CREATE DATABASE backend_db' | postgres --single -D new postgres > /dev/null`);
	const start = () => {
		docker("start", container);
		rig.waitForDatabase("db");
	};
	rig.databaseMode = "rw";
	const journal = { targets: ["database"] as RestoreTarget[], rebuild: true };
	const first = await rig.begin(archive, journal);
	initialise(first);
	docker("stop", container);
	inVolume("head -c 100 /dev/urandom | dd of=/data/global/pg_control conv=notrunc status=none");
	const damaged = inVolume("sha256sum /data/global/pg_control");
	rig.must("rebuild", "--id", first);
	start();
	rig.must("stage", "--id", first);
	// Back to the damaged files: nothing of them is lost, and nothing of the new is left.
	docker("stop", container);
	rig.must("undo", "--id", first);
	expect(inVolume("sha256sum /data/global/pg_control")).toBe(damaged);
	expect(inVolume("ls -A /data | grep -c persistent-stack || true")).toBe("0");

	const second = await rig.begin(archive, journal);
	initialise(second);
	rig.must("rebuild", "--id", second);
	start();
	rig.must("stage", "--id", second);
	rig.must("swap", "--id", second);
	const { stdout } = rig.must("finish", "--id", second);
	const kept = `.persistent-stack-damaged-${second}`;
	expect(JSON.parse(stdout)).toMatchObject({ damaged: { path: kept } });
	expect(inVolume(`sha256sum /data/${kept}/global/pg_control`).split(" ")[0]).toBe(damaged.split(" ")[0]);
	expect(rig.sql("SELECT count(*) FROM big")).toBe("150000");
	live = rig.state();
}, 180_000);
