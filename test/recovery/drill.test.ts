/** The drill, with real recovery points: what it restores, what it notices, and the evidence that it keeps. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { DrillRecord } from "../../recovery/drill-file.ts";
import { type Outcome, Rig, run } from "./rig.ts";

const rig = new Rig("drill");
const scratch = "--tmpfs=/scratch:mode=1777,size=400m";
let file = "";

beforeAll(async () => {
	await rig.start();
	rig.sql(`CREATE ROLE app LOGIN PASSWORD 'x'; CREATE ROLE reader; GRANT reader TO app;
		CREATE SCHEMA "Odd Name";
		CREATE TABLE record(id serial PRIMARY KEY, note text); INSERT INTO record(note) SELECT repeat(md5(g::text), 3) FROM generate_series(1, 20000) g;
		CREATE TABLE "Odd Name"."Ta""ble"(x int); INSERT INTO "Odd Name"."Ta""ble" VALUES (1), (2);
		CREATE TABLE empty(); CREATE VIEW seen AS SELECT * FROM record; ALTER TABLE record OWNER TO app;
		GRANT SELECT ON record TO reader; SELECT lo_from_bytea(0, 'large');
		ALTER DATABASE backend_db SET timezone = 'Asia/Tokyo'; ALTER DATABASE backend_db SET default_transaction_read_only = on;
		ALTER DATABASE backend_db CONNECTION LIMIT 5; COMMENT ON DATABASE backend_db IS 'it''s';`);
	rig.shell(
		"mkdir -p /media/deep/closed; for i in $(seq 1 200); do echo $i > /media/deep/$i; done; echo x > /media/deep/closed/x; chmod 000 /media/deep/closed; ln -s /etc/passwd /media/link; ln /media/deep/1 /media/hard; truncate -s 50M /media/sparse; echo s > /static/style.css; chown -R 10001:10001 /media",
	);
	file = rig.backup();
}, 240_000);
afterAll(() => rig.stop(), 60_000);

function drill(args: readonly string[] = [], extra = [scratch]): Outcome & { record?: DrillRecord } {
	const options = rig.sidecarArguments(extra).filter((option) => !option.startsWith("--network"));
	const command = [rig.agentImage, "drill", ...args, "--json"];
	const outcome = run("docker", ["run", "--rm", "--network=none", ...options, ...command]);
	return { ...outcome, record: outcome.stdout ? JSON.parse(outcome.stdout) : undefined };
}

function evidence(): { stack: string; drills: DrillRecord[] } {
	return JSON.parse(readFileSync(join(rig.backups, ".test.drill.json"), "utf8"));
}

test("restores the newest recovery point as it was and keeps that as evidence", () => {
	const before = rig.files();
	const { code, record, stderr } = drill();
	expect([code, record?.problems, code === 0 ? "" : stderr]).toEqual([0, [], ""]);
	expect(record).toMatchObject({
		file,
		sha256: rig.index(file).sha256,
		outcome: "passed",
		tables: 3,
		rows: 20002,
		// 201 files, two links by name, and the sparse one.
		files: { media: 204, static: 1 },
		postgresVersion: rig.index(file).manifest.database.serverVersion,
	});
	expect(evidence()).toEqual({ stack: "test", drills: [record] });
	expect(rig.files()).toEqual(before);
	expect(JSON.parse(rig.agent(["status", "--json"]).stdout).drill).toEqual(record);
}, 120_000);

test("an encrypted one needs the private key", () => {
	const [identity, recipient] = rig
		.shell("age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*' > /tmp/k; cat /tmp/k; age-keygen -y /tmp/k")
		.split("\n") as [string, string];
	const [other = ""] = rig.shell("age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*'").split("\n");
	rig.config = { ...rig.config, recipients: [recipient], compression: "zstd" };
	const encrypted = rig.backup();
	rig.config = { ...rig.config, recipients: [], compression: "gzip" };
	writeFileSync(join(rig.directory, "secrets", "identity"), identity);
	writeFileSync(join(rig.directory, "secrets", "other"), other);
	const without = drill();
	expect([without.code, without.stderr]).toEqual([4, expect.stringMatching(/is encrypted.*--identity FILE/)]);
	const wrong = drill(["--identity", "/run/secrets/other"]);
	expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringMatching(/this key does not open it/)]);
	const right = drill(["--identity", "/run/secrets/identity"]);
	expect([right.code, right.record?.file, right.record?.problems]).toEqual([0, encrypted, []]);
	// The two that could not be held are no evidence.
	expect(evidence().drills.map(({ outcome }) => outcome)).toEqual(["passed", "passed"]);
}, 120_000);

test("a recovery point that is not what its manifest says fails, by name, and stays as it was", () => {
	const index = rig.index(file);
	const path = join(rig.backups, file);
	const bytes = readFileSync(path);
	const changed = structuredClone(index);
	changed.manifest.database.rows["public.record"]++;
	changed.manifest.database.rows["public.gone"] = 1;
	changed.manifest.parts.find((part: { holds: string }) => part.holds === "media").files++;
	writeFileSync(`${path}.json`, JSON.stringify(changed));
	const other = drill([file]);
	writeFileSync(`${path}.json`, JSON.stringify(index));
	expect(other.code).toBe(7);
	expect(other.record?.problems.sort()).toEqual([
		expect.stringMatching(/^media_backup_.* unpacked to 204 files, the manifest says 205$/),
		"table public.gone is missing",
		"table public.record has 20000 rows, the manifest says 20001",
	]);
	const flipped = Buffer.from(bytes);
	flipped[Math.floor(bytes.length / 2)] = (flipped[Math.floor(bytes.length / 2)] as number) ^ 1;
	for (const spoiled of [flipped, bytes.subarray(0, bytes.length - 3000)]) {
		writeFileSync(path, spoiled);
		const { code, record } = drill([file]);
		expect([code, record?.outcome]).toEqual([7, "failed"]);
		expect(record?.problems.length).toBeGreaterThan(0);
	}
	writeFileSync(path, bytes);
	expect(
		evidence()
			.drills.map(({ outcome }) => outcome)
			.slice(-3),
	).toEqual(["failed", "failed", "failed"]);
}, 180_000);

test("too little room is said before anything is restored, and is no evidence", () => {
	const before = evidence();
	const { code, stderr } = drill([file], ["--tmpfs=/scratch:mode=1777,size=40m"]);
	expect([code, stderr]).toEqual([
		1,
		expect.stringMatching(/needs about \d+ MB in \/scratch.*nothing was restored/),
	]);
	expect(evidence()).toEqual(before);
}, 60_000);

test("works for an owner of the backup directory who is not root, and the evidence is his", () => {
	rig.shell(`chown -R 4321:4321 ${rig.backups}`);
	const { code, record, stderr } = drill([file]);
	expect([code, record?.problems, code === 0 ? "" : stderr]).toEqual([0, [], ""]);
	expect(rig.shell(`stat -c '%u:%g %a' ${rig.backups}/.test.drill.json`)).toBe("4321:4321 600");
}, 120_000);
