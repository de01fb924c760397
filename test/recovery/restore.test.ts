/** What a recovery point holds, restored with the specification's own hand commands and nothing of ours. */
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { docker, Rig, run } from "./rig.ts";

const rig = new Rig("restore");
beforeAll(() => rig.start(), 180_000);
afterAll(() => rig.stop(), 60_000);

/** One line for each file of a directory: type, mode, owner, size, time, link, and the hash of its content. */
const listing = (directory: string) => `cd ${directory}
	find . -name .persistent-stack-x -prune -o -type d -printf '%p %y %m %U:%G %T@\n' -o ! -type s -printf '%p %y %m %U:%G %s %T@ %l\n' | LC_ALL=C sort
	find . -name .persistent-stack-x -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`;

const tablesSql = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1;`;

/** Every table with the hash of its rows. */
function tables(alias: string): string[] {
	return rig
		.sql(tablesSql, alias)
		.split("\n")
		.map(
			(table) =>
				`${table} ${rig.sql(`SET timezone = 'UTC'; SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM ${table} t;`, alias)}`,
		);
}

test("dump, media and static come back equal, by tar and psql alone", () => {
	rig.sql(`
		CREATE TABLE record(id serial PRIMARY KEY, note text, raw bytea, at timestamptz DEFAULT now());
		INSERT INTO record(note, raw) SELECT repeat(chr(97 + g % 26), g % 200) || E'\\t\\n\\\\.\\n', decode(md5(g::text), 'hex') FROM generate_series(1, 50000) g;
		CREATE SCHEMA "odd.one"; CREATE TABLE "odd.one"."a ""b"" c"("sélect" text); INSERT INTO "odd.one"."a ""b"" c" VALUES ('ünï'), (NULL);
		CREATE TABLE parts(k int, v text) PARTITION BY RANGE (k);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
		INSERT INTO parts SELECT g, g::text FROM generate_series(0, 199) g;
		CREATE TABLE nothing(x int); SELECT lo_from_bytea(0, 'large object');
		CREATE ROLE app LOGIN PASSWORD 'x'; ALTER DATABASE backend_db SET timezone TO 'Asia/Tokyo'; GRANT CONNECT ON DATABASE backend_db TO app;`);
	rig.shell(`
		cd /media; mkdir -p deep/er .persistent-stack-x; echo staged > .persistent-stack-x/f
		head -c 3000000 /dev/urandom > deep/random.bin; ln -s /etc/passwd absolute; ln -s ../../outside relative; ln -s nowhere dangling
		printf a > $'new\\nline: x'; printf b > $'latin\\351'; printf c > '-rf *'; printf d > 'back\\slash'; printf e > ' lead'; printf f > "$(printf 'n%.0s' $(seq 240))"
		truncate -s 200M sparse; printf x | dd of=sparse bs=1 seek=100000000 conv=notrunc status=none; : > empty; mkfifo pipe
		perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "/media/socket", Listen => 1)'
		chown -R 10001:10001 .; chmod 0600 deep/random.bin; chmod 4750 empty; chown 1:2 ' lead'; touch -d '2001-02-03 04:05:06.789' ' lead'; chmod 0700 deep/er
		mkdir -p /static/lib; for i in $(seq 1 2000); do echo $i > /static/lib/$i.css; done`);
	const file = rig.backup();

	expect(run("gzip", ["-t", join(rig.backups, file)]).code).toBe(0);
	const work = join(rig.directory, "by-hand");
	// Sparse files must not be written out: the archive is far smaller than the file.
	expect(rig.index(file).size).toBeLessThan(20_000_000);
	rig.startDatabase("second");
	rig.waitForDatabase("second");
	rig.shell(`
		mkdir -p ${work}/media ${work}/static; cd ${work}; tar -tzf ${rig.backups}/${file}; tar xzf ${rig.backups}/${file}
		tar xzf media_backup_*.tar.gz -C media; tar xzf static_backup_*.tar.gz -C static`);
	const restored = run("bash", [
		"-c",
		`docker exec -i ${rig.name}-second psql -U postgres -d backend_db -v ON_ERROR_STOP=1 < ${work}/db_backup_*.sql`,
	]);
	expect(restored.stderr).toBe("");
	expect(restored.code).toBe(0);

	expect(tables("second")).toEqual(tables("db"));
	expect(rig.sql("SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata", "second")).toBe(
		"large object",
	);
	for (const set of ["media", "static"]) {
		expect(rig.shell(listing(`${work}/${set}`))).toBe(rig.shell(listing(`/${set}`)));
	}
	expect(
		rig.shell(`ls -A ${work}/media | grep -c persistent-stack || true; stat -c %b ${work}/media/sparse`),
	).toMatch(/^0\n\d{1,4}$/);
	const { manifest } = rig.index(file);
	expect(manifest.warnings).toEqual(["media: sockets, left out: ./socket"]);
	expect(manifest.database.rows).toMatchObject({
		"public.record": 50000,
		"public.nothing": 0,
		"public.parts_2": 100,
	});
	expect(rig.shell(`cd ${work}; stat -c %a db_backup_*.sql; cat globals_backup_*.sql`)).toMatch(
		/^600[\s\S]*CREATE ROLE app[\s\S]*ALTER DATABASE backend_db SET .?timezone.? TO 'Asia\/Tokyo'/i,
	);
	expect(rig.shell(`cd ${work}; redis-check-rdb redis_backup_*.rdb`)).toMatch(/RDB looks OK/i);
}, 180_000);

test("zstd holds the same, and tar alone reads it", () => {
	rig.config = { ...rig.config, compression: "zstd" };
	const file = rig.backup();
	rig.config = { ...rig.config, compression: "gzip" };
	expect(file).toMatch(/\.tar\.zst$/);
	expect(rig.agent(["verify", file]).code).toBe(0);
	const work = join(rig.directory, "by-zstd");
	rig.shell(
		`mkdir -p ${work}/media; cd ${work}; tar --zstd -xf ${rig.backups}/${file}; tar --zstd -xf media_backup_*.tar.zst -C media; tail -5 db_backup_*.sql | grep 'dump complete'`,
	);
	expect(rig.shell(listing(`${work}/media`))).toBe(rig.shell(listing("/media")));
	for (const spoil of [`printf x >> ${rig.backups}/${file}`, `truncate -s -5000 ${rig.backups}/${file}`]) {
		rig.shell(spoil);
		expect(rig.agent(["verify", file]).code).toBe(7);
	}
}, 120_000);

test.each(["gzip", "zstd"])(
	"the agent finds any flip, any cut and what follows, in %s",
	(compression) => {
		rig.config = { ...rig.config, compression };
		const made = rig.backup();
		rig.config = { ...rig.config, compression: "gzip" };
		const good = readFileSync(join(rig.backups, made));
		const flips = 12;
		const flipped = (position: number) => {
			const bytes = Buffer.from(good);
			bytes[position] = (bytes[position] as number) ^ 0x10;
			return bytes;
		};
		const at = (count: number) =>
			Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) / count) * good.length));
		const damaged = [
			...at(flips).map(flipped),
			...[1, 4, 8, 9, 1000].map((length) => good.subarray(0, -length)),
			...at(6).map((length) => good.subarray(0, length)),
			...["x", Buffer.alloc(70_000), good].map((more) => Buffer.concat([good, Buffer.from(more)])),
		];
		// Without an index it is only the content that tells.
		const files = [good, ...damaged].map((bytes, i) => {
			const file = made.replace(/\d{8}_\d{6}/, `20200101_${String(i).padStart(6, "0")}`);
			writeFileSync(join(rig.backups, file), bytes);
			return file;
		});
		const { code, stdout } = rig.agent(["verify", ...files, "--json"]);
		const contents = rig
			.shell(
				`cd ${rig.backups}; for file in ${files.join(" ")}; do ${compression} -dc $file | sha256sum; done`,
			)
			.split("\n");
		// A flip of a bit that decides nothing, or that means the same bytes at another distance, damages nothing.
		const expected = files.map((file, i) => [file, i <= flips && contents[i] === contents[0]]);
		for (const file of files) rmSync(join(rig.backups, file), { force: true });
		expect(code).toBe(7);
		const found = JSON.parse(stdout) as { file: string; ok: boolean; problems: string[] }[];
		expect(found.map(({ file, ok }) => [file, ok])).toEqual(expected);
		expect(expected.filter(([, same]) => same).length).toBeLessThan(4);
		for (const { ok, problems } of found) expect(problems.length > 0).toBe(!ok);
	},
	120_000,
);

test("an encrypted one needs the key for its content, and not for its bytes", () => {
	const [identity, recipient] = rig
		.shell("age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*' > /tmp/k; cat /tmp/k; age-keygen -y /tmp/k")
		.split("\n") as [string, string];
	rig.config = { ...rig.config, recipients: [recipient] };
	const file = rig.backup();
	const database = rig.agent(["backup-db"]).stdout.trim();
	rig.config = { ...rig.config, recipients: [] };
	expect([file, database].every((name) => name.endsWith(".age"))).toBe(true);
	expect(rig.files().filter((name) => name.startsWith(".partial"))).toEqual([]);
	expect(rig.index(file).verified).toMatchObject({ ok: true, how: "bytes" });
	expect(rig.agent(["verify", file, "--json"]).stdout).toContain('"how": "bytes"');
	writeFileSync(join(rig.directory, "secrets", "identity"), identity);
	for (const name of [file, database]) {
		const opened = rig.agent(["verify", name, "--identity", "/run/secrets/identity"]);
		expect([opened.stdout.trim(), opened.code]).toEqual([`${name}: good (content)`, 0]);
	}
	writeFileSync(
		join(rig.directory, "secrets", "identity"),
		rig.shell("age-keygen 2>/dev/null | grep -o 'AGE-SECRET.*'"),
	);
	const wrong = rig.agent(["verify", file, "--identity", "/run/secrets/identity"]);
	// 4, not 7: a key that does not fit says nothing against the file.
	expect(wrong.code).toBe(4);
	expect(wrong.stderr).toMatch(/this key does not open it \(age says: .*no identity matched/);
	expect(rig.index(file).verified).toMatchObject({ ok: true });
}, 120_000);

test("every recovery point balances while money moves between two tables and files are uploaded", () => {
	rig.sql(`CREATE TABLE left_side(id int PRIMARY KEY, money int); CREATE TABLE right_side(id int PRIMARY KEY, money int); CREATE TABLE log(id serial, at timestamptz DEFAULT now());
		INSERT INTO left_side SELECT g, 100 FROM generate_series(1, 20000) g; INSERT INTO right_side SELECT g, 100 FROM generate_series(1, 20000) g;`);
	const writer = spawn(
		"docker",
		[
			...["exec", `${rig.name}-db`, "bash", "-c"],
			`for i in $(seq 1 100000); do echo "BEGIN; UPDATE left_side SET money = money - 1 WHERE id = $((RANDOM % 20000 + 1)); UPDATE right_side SET money = money + 1 WHERE id = $((RANDOM % 20000 + 1)); INSERT INTO log DEFAULT VALUES; COMMIT;"; done | psql -q -U postgres backend_db`,
		],
		{ stdio: "ignore" },
	);
	const uploads = spawn(
		"docker",
		[
			...[
				"run",
				"--rm",
				"--label=stack-test=1",
				`--name=${rig.name}-uploads`,
				`--volume=${rig.name}-media:/media`,
				"--entrypoint=bash",
				rig.agentImage,
				"-c",
			],
			"i=0; while :; do i=$((i+1)); head -c 300000 /dev/urandom > /media/upload-$((i % 40)); date >> /media/deep/appended; rm -f /media/upload-$(((i + 20) % 40)); done",
		],
		{ stdio: "ignore" },
	);
	const warnings: string[] = [];
	try {
		for (let round = 0; round < 4; round++) {
			const file = rig.backup();
			const work = join(rig.directory, `balance-${round}`);
			rig.sql(`DROP DATABASE IF EXISTS check_it WITH (FORCE)`, "second", "postgres");
			rig.sql(`CREATE DATABASE check_it`, "second", "postgres");
			rig.shell(
				`mkdir -p ${work}/media; cd ${work}; tar xzf ${rig.backups}/${file}; tar xzf media_backup_*.tar.gz -C media; grep -c '' media/deep/appended || true`,
			);
			run("bash", [
				"-c",
				`docker exec -i ${rig.name}-second psql -q -U postgres -d check_it < ${work}/db_backup_*.sql`,
			]);
			const sums = rig.sql(
				"SELECT (SELECT sum(money) FROM left_side) + (SELECT sum(money) FROM right_side)",
				"second",
				"check_it",
			);
			expect(Number(sums)).toBe(4_000_000);
			const { rows } = rig.index(file).manifest.database;
			expect(Number(rig.sql("SELECT count(*) FROM log", "second", "check_it"))).toBe(rows["public.log"]);
			expect(rows["public.log"]).toBeGreaterThan(0);
			expect(rig.agent(["verify", file]).code).toBe(0);
			warnings.push(...rig.index(file).manifest.warnings);
		}
		expect(warnings.join()).toMatch(/read again|never held still|vanished/);
	} finally {
		writer.kill();
		docker("rm", "--force", "--volumes", `${rig.name}-uploads`);
		uploads.kill();
	}
}, 240_000);

test("a hundred thousand small files fit into little memory", () => {
	rig.shell(
		`perl -e 'for my $d (0..99) { mkdir "/media/many-$d"; for my $f (0..999) { open(my $h, ">", "/media/many-$d/$f") or die; print $h "$d/$f" } }'`,
	);
	const { code, stdout, stderr } = rig.agent(["backup", "--json"], ["--memory=150m", "--memory-swap=150m"]);
	expect([code, code === 0 ? "" : stderr]).toEqual([0, ""]);
	const media = JSON.parse(stdout).manifest.parts.find((part: { holds: string }) => part.holds === "media");
	expect(media.files).toBe(
		Number(
			rig.shell(
				"find /media -name .persistent-stack-x -prune -o ! -type d ! -type s -print0 | tr -cd '\\0' | wc -c",
			),
		),
	);
}, 240_000);
