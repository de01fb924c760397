/** Restores by the helper that does the work, from every kind of file: what comes back equals what was. */
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import { fill, fillRedis, spoilContent, spoilFacts } from "../recovery/restore-data.ts";
import { RestoreRig } from "../recovery/restore-rig.ts";
import { docker, type Outcome, run } from "../recovery/rig.ts";

const rig = new RestoreRig("helper");
/** Of the data as they were filled in: full archives by kind, and what is by itself. */
const made: Record<string, string> = {};
let whole = "";
let database = "";
let volumes: Record<string, string> = {};

beforeAll(async () => {
	await rig.start();
	fill(rig);
	whole = rig.state();
	database = rig.database();
	volumes = { media: rig.volume("media"), static: rig.volume("static") };
	made.gzip = rig.backup();
	rig.config = { ...rig.config, compression: "zstd" };
	made.zstd = rig.backup();
	const keys = rig.shell(
		"age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*' > /tmp/k; cat /tmp/k; age-keygen -y /tmp/k",
	);
	const [identity = "", recipient = ""] = keys.split("\n");
	writeFileSync(join(rig.directory, "secrets", "identity"), identity);
	writeFileSync(
		join(rig.directory, "secrets", "other"),
		rig.shell("age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*'"),
	);
	rig.config = { ...rig.config, compression: "gzip", recipients: [recipient] };
	made.age = rig.backup();
	made["sql.age"] = rig.agent(["backup-db"]).stdout.trim();
	rig.config = { ...rig.config, recipients: [] };
	made.sql = rig.agent(["backup-db"]).stdout.trim();
	// By the specification's own hand commands, as the old script did.
	const stamp = "20250101_010101";
	writeFileSync(
		join(rig.backups, `db_backup_${stamp}.sql`),
		execFileSync("docker", ["exec", `${rig.name}-db`, "pg_dump", "-U", "postgres", "backend_db"]),
	);
	rig.shell(`
		cd ${rig.backups}; tar czf media_backup_${stamp}.tar.gz -C /media .; tar czf static_backup_${stamp}.tar.gz -C /static .
		tar czf full_backup_${stamp}.tar.gz db_backup_${stamp}.sql media_backup_${stamp}.tar.gz static_backup_${stamp}.tar.gz`);
	made["old script"] = `full_backup_${stamp}.tar.gz`;
	made["old script's media"] = `media_backup_${stamp}.tar.gz`;
	made["old script's static"] = `static_backup_${stamp}.tar.gz`;
	made["old script's sql"] = `db_backup_${stamp}.sql`;
	// An archive that was copied from elsewhere, without its index and under a name of its own.
	made.renamed = "from-another-host.tar.gz";
	copyFileSync(join(rig.backups, made.gzip), join(rig.backups, made.renamed));
}, 300_000);
afterAll(() => rig.stop(), 60_000);

afterEach(() => {
	expect(rig.phase()).toBeUndefined();
	expect(rig.sql("SELECT datname FROM pg_database WHERE datname ~ '^(restore|before)_'")).toBe("");
	expect(rig.volume("media") + rig.volume("static")).not.toContain("persistent-stack");
});

function check(file: string, ...options: string[]): Outcome {
	return rig.helper("check", `/source/${file}`, "--json", ...options);
}

/** Without fractions of a second, which tar's older format does not have. */
const wholeSeconds = (listing: string) => listing.replace(/(\d{9,10})\.\d+/g, "$1");
const identity = ["--identity", "/run/secrets/identity"];

test.each([
	["gzip", []],
	["zstd", []],
	["age", identity],
	["renamed", []],
])(
	"an archive (%s) brings back rows, roles, settings and files as they were",
	async (kind, options) => {
		const file = made[kind] as string;
		spoilContent(rig);
		spoilFacts(rig);
		const checked = check(file, ...options);
		expect(checked.stderr).not.toContain('"failed"');
		// Where the database can be read by itself, and where the archive is read from its beginning.
		if (kind !== "renamed") expect(rig.index(file).tail !== undefined).toBe(kind !== "age");
		expect(JSON.parse(checked.stdout)).toMatchObject({
			file,
			kind: "full",
			origin: "manifest",
			stack: "test",
			targets: ["database", "media", "static"],
			redis: "keep",
			tables: 4,
			files: { static: 300 },
		});
		await rig.restore(file, {}, options);
		// Membership that came later stays, as with pg_dumpall's own statements.
		rig.sql("REVOKE only_here FROM reader");
		expect(rig.state()).toBe(whole);
		expect(rig.sql("SELECT nextval('counter')")).toBe("43");
		rig.sql("SELECT setval('counter', 42)");
	},
	120_000,
);

test.each([
	["sql", "database", []],
	["sql.age", "database", identity],
	["old script", "all", []],
	["old script's sql", "database", []],
	["old script's media", "media", []],
	["old script's static", "static", []],
])(
	"%s replaces %s, and the settings of the database stay or come with it",
	async (kind, what, options) => {
		const file = made[kind] as string;
		spoilContent(rig);
		const all = ["database", "media", "static"] as RestoreTarget[];
		const targets = what === "all" ? all : [what as RestoreTarget];
		const before = { media: rig.volume("media"), static: rig.volume("static"), database: rig.database() };
		expect(JSON.parse(check(file, ...options).stdout)).toMatchObject({ targets, available: targets });
		await rig.restore(file, { targets }, options);
		expect(rig.database()).toBe(targets.includes("database") ? database : before.database);
		for (const target of ["media", "static"] as const) {
			const expected = targets.includes(target) ? volumes[target] : before[target];
			expect(wholeSeconds(rig.volume(target))).toBe(wholeSeconds(expected as string));
		}
	},
	120_000,
);

test("a second archive of the same files is not mixed with the first", async () => {
	const [first, second] = ["20250101_010101", "20250303_030303"];
	const both = `full_backup_${second}.tar.gz`;
	rig.shell(`
		mkdir /tmp/other; echo x > /tmp/other/not-mine; cd ${rig.backups}
		tar czf media_backup_${second}.tar.gz -C /tmp/other .
		tar czf ${both} media_backup_${first}.tar.gz media_backup_${second}.tar.gz static_backup_${first}.tar.gz db_backup_${first}.sql
		rm media_backup_${second}.tar.gz`);
	spoilContent(rig);
	await rig.restore(both, { targets: ["media", "static"] });
	for (const target of ["media", "static"] as const)
		expect(wholeSeconds(rig.volume(target))).toBe(wholeSeconds(volumes[target] as string));
	rmSync(join(rig.backups, both));
}, 120_000);

test("roles that are missing are made: with all they had from a full archive, without rights from a dump", async () => {
	const roles = `SELECT rolname, rolcanlogin, rolpassword IS NOT NULL FROM pg_authid WHERE rolname IN ('owner', 'reader') ORDER BY 1`;
	const gone = () =>
		rig.sql(`
			ALTER DATABASE backend_db OWNER TO postgres; ALTER DATABASE backend_db CONNECTION LIMIT -1; REASSIGN OWNED BY owner, "Größe ""x""" TO postgres;
			DROP OWNED BY reader; DROP OWNED BY owner; DROP OWNED BY "Größe ""x"""; DROP ROLE owner, reader, "Größe ""x"""`);
	gone();
	await rig.restore(made["old script's sql"] as string, { targets: ["database"] });
	expect(rig.sql(roles)).toBe("owner|f|f\nreader|f|f");
	expect(rig.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'record'")).toBe("owner");
	gone();
	await rig.restore(made.gzip as string);
	expect(rig.state()).toBe(whole);
	expect(
		run("docker", [
			...[
				"exec",
				"--env=PGPASSWORD=one",
				`${rig.name}-db`,
				"psql",
				"-h",
				"127.0.0.1",
				"-U",
				"owner",
				"-d",
				"backend_db",
			],
			...["-tAc", "SELECT current_user"],
		]).stdout.trim(),
	).toBe("owner");
}, 120_000);

test("the stack's own role and its password are never those of the backup", async () => {
	const own = `SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'`;
	rig.sql("ALTER ROLE postgres PASSWORD 'of the backup'");
	rig.writeSecrets("of the backup");
	const file = rig.backup();
	rig.sql(`ALTER ROLE postgres PASSWORD '${rig.password.replaceAll("'", "''")}'`);
	rig.writeSecrets();
	const before = rig.sql(own);
	await rig.restore(file, { targets: ["database"] });
	expect(rig.sql(own)).toBe(before);
	rmSync(join(rig.backups, file));
}, 60_000);

test("Redis stays, comes back with its times to live, or is cleared, and stays so when it starts again", async () => {
	fillRedis(rig);
	const file = rig.backup();
	const restart = () => {
		docker("stop", `${rig.name}-redis`);
		rig.startRedis();
	};
	rig.redis("SET", "session", "late");
	await rig.restore(file, { targets: ["static"] });
	expect(rig.redis("GET", "session")).toBe("late");

	rig.redis("DEL", "queue");
	await rig.restore(file, { targets: ["redis"], redis: "restore" });
	for (const again of [false, true]) {
		if (again) restart();
		expect(rig.redis("GET", "session")).toBe("one");
		expect(rig.redis("LRANGE", "queue", "0", "-1")).toBe("job 1\njob 2");
		expect(Number(rig.redis("TTL", "expires"))).toBeGreaterThan(90_000);
	}
	rig.redis("SET", "after", "1");
	restart();
	expect(rig.redis("GET", "after")).toBe("1");

	await rig.restore(file, { targets: ["redis"], redis: "clear" });
	expect(rig.redis("DBSIZE")).toBe("0");
	rig.redis("SET", "after", "2");
	restart();
	expect([rig.redis("GET", "after"), rig.redis("DBSIZE")]).toEqual(["2", "1"]);
}, 120_000);

test("an unknown file, a part that is not in it, a key that is missing or wrong: refused, each with its code", () => {
	const refused = (outcome: Outcome, code: number, message: RegExp) => {
		expect(outcome.stderr).toMatch(message);
		expect([outcome.code, outcome.stdout]).toEqual([code, ""]);
	};
	refused(check("nowhere.tar.gz"), 2, /there is no file nowhere\.tar\.gz; nothing was changed/);
	refused(check("notes.txt"), 2, /notes\.txt is no backup that can be restored/);
	refused(check(made.gzip as string, "--only", "everything"), 2, /--only knows no everything/);
	refused(
		check(made["old script"] as string, "--only", "database", "--only", "redis"),
		7,
		/holds no redis; nothing was changed\. Restore the rest: --only database/,
	);
	refused(check(made.age as string), 4, /is encrypted, and no key was given/);
	refused(
		check(made.age as string, "--identity", "/run/secrets/other"),
		4,
		/this key does not open .*no identity matched/,
	);
	refused(rig.helper("swap", "--id", "01234567"), 2, /there is no restore 01234567: none is unfinished/);
}, 60_000);

test("what is damaged, too new, or reaches beyond its database is refused before anything is touched", () => {
	const scratch = (name: string, content: Buffer | string) => writeFileSync(join(rig.backups, name), content);
	const refused = (name: string, message: RegExp, ...options: string[]) => {
		const { code, stderr } = check(name, ...options);
		expect(stderr).toMatch(message);
		expect(code).toBe(7);
	};
	const good = readFileSync(join(rig.backups, made.gzip as string));
	for (const at of [0.2, 0.7]) {
		const flipped = Buffer.from(good);
		const position = Math.floor(good.length * at);
		flipped[position] = (flipped[position] as number) ^ 1;
		scratch("flipped.tar.gz", flipped);
		refused("flipped.tar.gz", /flipped\.tar\.gz cannot be relied on/);
		scratch(made.gzip as string, flipped);
		refused(made.gzip as string, /the stored file is not the one that was written/);
		scratch(made.gzip as string, good);
	}
	scratch("cut.tar.gz", good.subarray(0, -5000));
	refused("cut.tar.gz", /cut short/);
	const dump = readFileSync(join(rig.backups, made["old script's sql"] as string), "utf8");
	scratch("cut.sql", dump.slice(0, -300));
	refused("cut.sql", /not a whole dump: its last line is missing/);
	scratch("newer.sql", dump.replace(/Dumped from database version \d+/, "Dumped from database version 99"));
	refused("newer.sql", /made of PostgreSQL 99, and this stack runs 17/);
	scratch(
		"create.sql",
		docker("exec", `${rig.name}-db`, "pg_dump", "-U", "postgres", "--create", "backend_db"),
	);
	refused("create.sql", /reaches beyond its own database \(CREATE DATABASE backend_db/);
	for (const name of ["flipped.tar.gz", "cut.tar.gz", "cut.sql", "newer.sql", "create.sql"]) {
		rmSync(join(rig.backups, name));
	}
}, 90_000);

test("while a restore is unfinished no backup is made and none is pruned, and the next helper waits its turn", async () => {
	const id = await rig.begin(made.gzip as string, { targets: ["static"] });
	const names = rig.files();
	for (const command of [["backup"], ["backup-db"], ["prune"]]) {
		const { code, stderr } = rig.agent(command);
		expect([command, code]).toEqual([command, 1]);
		expect(stderr).toMatch(
			/a restore of .* is unfinished \(staging\); nothing was changed\. Put it right first/,
		);
	}
	expect(rig.files()).toEqual(names);
	rig.must("stage", "--id", id);
	expect(rig.phase()).toBe("staged");
	expect(rig.helper("finish", "--id", id).stderr).toMatch(
		/the restore is staged, and not swapped or finishing/,
	);
	// Services are to be started again: the journal remembers, until whoever starts them removes it.
	rig.must("undo", "--id", id, "--keep-journal");
	expect(rig.phase()).toBe("undone");
	rig.must("undo", "--id", id);
}, 60_000);
