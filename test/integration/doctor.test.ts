/** Doctor on a real stack: each of the specification's troubleshooting cases brought about, told, and mended. */
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import type { Line } from "../../cli/doctor/probe.ts";
import { docker, dockerLines, testLabel, waitFor } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up, and services are restarted in a test.
jest.setTimeout(240_000);

type Case = NonNullable<Line["case"]>;

interface Examined {
	readonly code: number;
	readonly healthy: boolean;
	readonly findings: readonly Line[];
	readonly skipped: readonly { readonly topic: string; readonly reason: string }[];
}

let stack: TestStack;
let backups: string;

beforeAll(async () => {
	stack = await TestStack.create();
	backups = join(stack.directory, "backups");
	const before = await examine();
	expect(before).toMatchObject({ code: 0, healthy: true });
	expect(before.skipped).toContainEqual({
		topic: "services",
		reason: expect.stringMatching(/^there is no stack \S+ on this host; .* up makes it$/),
	});
	await stack.run(["up"]);
	stack.sql("create table proof as select i, md5(i::text) as hash from generate_series(1, 20000) i");
	stack.sql("create index proof_hash on proof (hash)");
	await stack.run(["backup"]);
});
afterAll(() => stack?.cleanUp());

async function examine(...options: string[]): Promise<Examined> {
	const { code, stdout } = await stack.run(["doctor", "--json", ...options], { mayFail: true });
	return { code, ...JSON.parse(stdout) };
}

const about = ({ findings }: Examined, topic: string) => findings.filter((one) => one.topic === topic);

/** The line of a case; its absence fails the test with everything that was found. */
function recognised(examined: Examined, name: Case): Line {
	const line = examined.findings.find((finding) => finding.case === name);
	if (!line) throw new Error(`${name} was not recognised in ${JSON.stringify(examined, null, 2)}`);
	return line;
}

function expectMended(examined: Examined, ...names: Case[]): void {
	expect(examined.findings.filter((finding) => finding.case && names.includes(finding.case))).toEqual([]);
}

const container = (service: string) => `${stack.name}-${service}`;
const onVolume = (script: string) => stack.inImage("postgres", `${stack.volume("postgres-data")}:/v`, script);

function untilHealthy(service: string): void {
	waitFor(() => {
		const state = docker("inspect", "-f", "{{.State.Health.Status}}", container(service));
		if (state !== "healthy") throw new Error(`${service} is ${state}`);
	});
}

/** Names and times of what lies under a directory of the project. */
function listing(directory: string): string[] {
	return readdirSync(directory, { recursive: true, encoding: "utf8" })
		.map((name) => `${name} ${statSync(join(directory, name)).mtimeMs}`)
		.sort();
}

test("a stack that is well has no failure, and doctor changes nothing", async () => {
	const [ids, files] = [stack.containerIds(), listing(join(stack.directory, ".stack"))];
	const kept = listing(backups);
	const examined = await examine();
	expect(examined).toMatchObject({ code: 0, healthy: true, skipped: [] });
	const notOk = examined.findings.filter(({ verdict }) => verdict !== "ok");
	// On an engine before 23.0 the warning of docker system prune stays.
	expect(notOk.filter(({ topic }) => topic !== "docker")).toEqual([]);
	expect(stack.containerIds()).toEqual(ids);
	expect(listing(join(stack.directory, ".stack"))).toEqual(files);
	expect(listing(backups)).toEqual(kept);
});

test("what it says of docker system prune is what this engine does with a volume that nobody uses", async () => {
	const name = `${stack.name}-unused`;
	docker("volume", "create", "--label", testLabel, "--label", `unused=${name}`, name);
	docker("volume", "prune", "--force", "--filter", `label=unused=${name}`);
	const isGone = !dockerLines("volume", "ls", "--format", "{{.Name}}").includes(name);
	const line = about(await examine(), "docker").find(({ message }) => message.includes("prune"));
	expect(line?.verdict).toBe(isGone ? "warn" : "ok");
	if (!isGone) docker("volume", "rm", name);
});

test("--deep reads the database and the newest backup, and leaves the database as it was", async () => {
	const schemas = "select string_agg(nspname, ',' order by 1) from pg_namespace";
	const before = stack.sql(schemas);
	const well = await examine("--deep");
	expect(well).toMatchObject({ code: 0, healthy: true });
	expect(about(well, "database files")).toMatchObject([
		{ verdict: "ok", message: expect.stringMatching(/^\d+ tables, \d+ indexes read/) },
	]);
	expect(about(well, "newest backup")).toMatchObject([
		{ verdict: "ok", message: expect.stringContaining("read from end to end") },
	]);
	expect(stack.sql("select count(*) from pg_extension where extname = 'amcheck'")).toBe("0");
	expect(stack.sql(schemas)).toBe(before);

	const file = stack.sql("select pg_relation_filepath('proof_hash')");
	docker("stop", container("db"));
	onVolume(`dd if=/dev/urandom of=/v/${file} bs=1 seek=$((5 * 8192 + 8000)) count=60 conv=notrunc`);
	docker("start", container("db"));
	untilHealthy("db");
	const damaged = await examine("--deep");
	expect(damaged).toMatchObject({ code: 1, healthy: false });
	expect(about(damaged, "database files")).toMatchObject([
		{
			verdict: "fail",
			message: expect.stringContaining("index proof_hash: "),
			fix: expect.stringContaining("REINDEX"),
		},
	]);
	stack.sql("reindex index proof_hash");
});

test("case: backup fails because the database is not running", async () => {
	docker("stop", container("db"));
	const examined = await examine();
	expect(examined).toMatchObject({ code: 1, healthy: false });
	expect(recognised(examined, "database-not-running")).toMatchObject({
		topic: "services",
		verdict: "fail",
		message: expect.stringContaining("stopped, exit code 0"),
		fix: expect.stringContaining(`-s ${stack.name} start`),
	});
	expect(about(examined, "drift")).toMatchObject([
		{
			verdict: "warn",
			message: expect.stringContaining(container("db")),
			fix: expect.stringMatching(/ start$/),
		},
	]);
	expect(examined.skipped).toContainEqual({
		topic: "restored data",
		reason: "the database does not run or does not answer",
	});
	await stack.run(["start"]);
	expectMended(await examine(), "database-not-running");
});

test("case: a restored database that the application has not seen yet", async () => {
	stack.inService(
		"db",
		`pg_dump -U postgres backend_db >/tmp/dump.sql
		psql -q -U postgres -d postgres -c 'drop database backend_db with (force)' -c 'create database backend_db'
		psql -q -U postgres -d backend_db -f /tmp/dump.sql; rm /tmp/dump.sql`,
	);
	const line = recognised(await examine(), "restore-not-visible");
	expect(line).toMatchObject({
		topic: "restored data",
		verdict: "warn",
		message: expect.stringMatching(/restored or made anew at .*, and \S+-backend has run since before/),
		fix: expect.stringContaining(" restart"),
	});
	await stack.run(["restart", "backend"]);
	expectMended(await examine(), "restore-not-visible");
});

test("case: a disk and a volume beyond their limits, which status tells too", async () => {
	stack.configure({ diskWarnPercent: 1, volumeWarnGb: 1 });
	const media = `${stack.volume("backend-media")}:/v`;
	stack.inImage("postgres", media, "fallocate -l 1100M /v/large || head -c 1100M /dev/zero >/v/large");
	try {
		const { findings } = await examine();
		const told = findings.filter((finding) => finding.case === "disk-full");
		expect(told).toContainEqual(
			expect.objectContaining({ topic: "disk", message: expect.stringMatching(/the limit is 1%$/) }),
		);
		expect(told).toContainEqual(
			expect.objectContaining({
				topic: "volume sizes",
				message: expect.stringMatching(/backend-media \(User uploads\) holds 1\.1G; the limit is 1G$/),
				fix: expect.stringContaining("never docker system prune --volumes"),
			}),
		);
		const { stdout } = await stack.run(["status"]);
		expect(stdout).toMatch(/^Limit passed: the disk with .* the limit is 1%$/m);
		expect(stdout).toMatch(/^Limit passed: volume \S+-backend-media .* the limit is 1G$/m);
	} finally {
		stack.inImage("postgres", media, "rm -f /v/large");
		stack.configure({ diskWarnPercent: undefined, volumeWarnGb: undefined });
	}
});

test("case: a volume that cannot be removed because a stranger's container holds it", async () => {
	const stranger = `${stack.name}-stranger`;
	const mount = ["--volume", `${stack.volume("proxy-logs")}:/logs`];
	docker("create", "--name", stranger, "--label", testLabel, ...mount, stack.baseImage("redis"));
	const line = recognised(await examine(), "volume-in-use");
	expect(line).toMatchObject({ topic: "volumes", verdict: "warn", fix: `docker rm --force ${stranger}` });
	expect(line.message).toContain(`container ${stranger} holds volume ${stack.volume("proxy-logs")}`);
	execFileSync("sh", ["-c", line.fix ?? "false"]);
	expectMended(await examine(), "volume-in-use");
});

test("case: the backup directory is gone; and one that is open, or was put there since", async () => {
	const aside = `${backups}.aside`;
	renameSync(backups, aside);
	const line = recognised(await examine(), "backup-directory-missing");
	expect(line).toMatchObject({ topic: "backup directory", verdict: "fail" });
	const [make, open, restart] = line.fix?.split(" && ") ?? [];
	expect(restart).toBe(`./docker-dev.sh -s ${stack.name} restart backup`);
	execFileSync("sh", ["-c", `${make} && ${open}`]);
	await stack.run(["restart", "backup"]);
	chmodSync(backups, 0o755);
	const made = await examine();
	expectMended(made, "backup-directory-missing");
	expect(about(made, "backup directory")).toMatchObject([
		{ verdict: "warn", message: expect.stringContaining("mode 755"), fix: `chmod 700 ${backups}` },
	]);

	rmSync(backups, { recursive: true });
	renameSync(aside, backups);
	expect(about(await examine(), "backup directory")).toMatchObject([
		{
			verdict: "fail",
			message: expect.stringContaining("was replaced since"),
			fix: expect.stringMatching(/ restart backup$/),
		},
	]);
	await stack.run(["restart", "backup"]);
});

test("pending changes and a port that somebody else has taken", async () => {
	stack.configure({ proxyMemoryMb: 160 });
	docker("stop", container("proxy"));
	const other = createServer().listen(stack.port, "127.0.0.1");
	try {
		const taken = await examine();
		expect(about(taken, "ports")).toMatchObject([
			{ verdict: "fail", message: expect.stringContaining(`port ${stack.port}`) },
		]);
		expect(about(taken, "services")).toMatchObject([
			{ verdict: "fail", message: expect.stringMatching(/^not running: proxy \(stopped, exit code \d+\)$/) },
		]);
	} finally {
		other.close();
	}
	docker("start", container("proxy"));
	untilHealthy("proxy");
	expect(about(await examine(), "drift")).toMatchObject([
		{ verdict: "warn", message: expect.stringMatching(/^1 change pending: .* container \S+-proxy$/) },
	]);
	stack.configure({ proxyMemoryMb: undefined });
});

test("case: PostgreSQL does not start, because its files are damaged", async () => {
	docker("stop", container("db"));
	onVolume("mv /v/global/pg_control /v/global/kept && head -c 8192 /dev/urandom >/v/global/pg_control");
	onVolume("chown 999:999 /v/global/pg_control && chmod 600 /v/global/pg_control");
	docker("start", container("db"));
	waitFor(() => {
		if (docker("inspect", "-f", "{{.RestartCount}}", container("db")) === "0")
			throw new Error("it still runs");
	});
	const line = recognised(await examine(), "database-damaged");
	expect(line).toMatchObject({ topic: "services", verdict: "fail" });
	expect(line.message).toMatch(/PostgreSQL cannot open (its files|the data)/);
	expect(line.fix).toContain(`-s ${stack.name} restore --latest --rebuild-database`);
	docker("stop", container("db"));
	onVolume("mv /v/global/kept /v/global/pg_control");
	docker("start", container("db"));
	untilHealthy("db");
	expectMended(await examine(), "database-damaged", "database-not-running");
});

test("case: the data is lost with its volume; also when an empty one has taken its place", async () => {
	const [newest] = readdirSync(backups).filter((name) => /^full_backup_.*\.gz$/.test(name));
	docker("rm", "--force", container("db"));
	docker("volume", "rm", stack.volume("postgres-data"));
	const lost = recognised(await examine(), "data-lost");
	expect(lost).toMatchObject({ topic: "volumes", verdict: "fail" });
	expect(lost.message).toContain(stack.volume("postgres-data"));
	expect(lost.message).toContain(`The newest good backup is ${newest}`);
	expect(lost.fix).toContain(`-s ${stack.name} restore --latest`);

	await stack.run(["start", "db"]);
	expect(recognised(await examine(), "data-lost")).toMatchObject({
		verdict: "warn",
		message: expect.stringMatching(new RegExp(`was made anew .* after the newest good backup, ${newest}`)),
	});
});
