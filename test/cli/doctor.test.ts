/** What doctor says, from made-up findings and directories; a real stack is in test/integration/doctor.test.ts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { createContext } from "../../cli/context.ts";
import { cases, recognised } from "../../cli/doctor/cases.ts";
import { Facts } from "../../cli/doctor/facts.ts";
import { type Disk, passedByDisks, passedByVolumes, readDisks } from "../../cli/doctor/limits.ts";
import { type Finding, type Probe, runProbes } from "../../cli/doctor/probe.ts";
import { lookAtBackupDirectory } from "../../cli/doctor/probes/backup-directory.ts";
import { lookAtBackups } from "../../cli/doctor/probes/backups.ts";
import { lookAtClock } from "../../cli/doctor/probes/clock.ts";
import { lookAtDisks } from "../../cli/doctor/probes/disk.ts";
import { prune } from "../../cli/doctor/probes/docker.ts";
import { judge } from "../../cli/doctor/probes/integrity.ts";
import { lookAtKeys } from "../../cli/doctor/probes/keys.ts";
import { lookAtOffsite } from "../../cli/doctor/probes/offsite.ts";
import { lookAtRestore } from "../../cli/doctor/probes/restore.ts";
import { probes } from "../../cli/doctor/probes.ts";
import { Output } from "../../cli/output.ts";
import { reportText, summary } from "../../cli/verbs/doctor.ts";
import { volumeCatalogue } from "../../components/catalogue.ts";
import type { IndexFile } from "../../recovery/index-file.ts";
import { acquireLock, lockFile } from "../../recovery/lock.ts";
import { type OffsiteRecord, writeOffsite } from "../../recovery/offsite.ts";
import { writeRestoreJournal } from "../../recovery/restore-journal.ts";
import { writeStatus } from "../../recovery/status-file.ts";
import { index, manifest } from "../recovery/fixtures.ts";

const output = new Output({ color: false });
const day = 86_400_000;
/** A stack that nobody has: what these tests look at is the same whether Docker runs here or not. */
const stack = "doctor-nobody";
let project: string;
let backups: string;

beforeEach(() => {
	project = mkdtempSync(join(tmpdir(), "doctor-"));
	backups = join(project, "backups");
	mkdirSync(backups, { mode: 0o700 });
	writeFileSync(join(project, "Pulumi.yaml"), "name: persistent-stack\nruntime: nodejs\n");
	configure({});
});
afterEach(() => {
	rmSync(project, { recursive: true });
});

function configure(settings: Record<string, unknown>): void {
	const lines = Object.entries(settings).map(
		([key, value]) => `  persistent-stack:${key}: ${JSON.stringify(value)}`,
	);
	writeFileSync(
		join(project, `Pulumi.${stack}.yaml`),
		`config:${lines.length > 0 ? `\n${lines.join("\n")}` : " {}"}\n`,
	);
}

function makeContext(signal = new AbortController().signal) {
	return createContext({ directory: project, stack }, output, signal);
}

const makeFacts = () => new Facts(makeContext());

/** The stack looks applied, by its record. */
function recordApplied(): void {
	mkdirSync(join(project, ".stack", stack), { recursive: true });
	writeFileSync(join(project, ".stack", stack, "applied-by"), "local\n");
}

/** A recovery point of this stack: file and index, as the agent leaves them. */
function keep(madeAt: Date, changes: Partial<IndexFile> = {}): string {
	const stamp = madeAt.toISOString().replace(/[-:]/g, "").slice(0, 15).replace("T", "_");
	const file = `full_backup_${stamp}.tar.gz${changes.encrypted ? ".age" : ""}`;
	writeFileSync(join(backups, file), "x");
	const content = index(file, {
		manifest: manifest({ stack, startedAt: madeAt.toISOString() }),
		...changes,
	});
	writeFileSync(join(backups, `${file}.json`), JSON.stringify(content));
	return file;
}

const ago = (milliseconds: number) => new Date(Date.now() - milliseconds);
const brief = (findings: readonly Finding[]) =>
	findings.map(({ verdict, message }) => `${verdict} ${message}`);

describe("the report", () => {
	const probe = (topic: string, look: Probe["look"], over: Partial<Probe> = {}): Probe => ({
		...{ topic, needs: [], seconds: 5, look },
		...over,
	});
	const ok = async (): Promise<Finding[]> => [{ verdict: "ok", message: "well" }];

	test("one probe that hangs and one that fails take nothing from the others, and the order is the table's", async () => {
		configure({ port: "no number" });
		let ended = false;
		const hang = (facts: Facts) =>
			new Promise<Finding[]>(() => {
				facts.context.signal.addEventListener("abort", () => {
					ended = true;
				});
			});
		const shown: string[][] = [];
		const report = await runProbes(
			makeContext(),
			[
				probe("slow", hang, { seconds: 0.2 }),
				probe("broken", async () => Promise.reject(new Error("no such thing"))),
				probe("fine", ok),
				probe("elsewhere", ok, { needs: ["settings"] }),
			],
			(pending) => shown.push([...pending]),
		);
		expect(report.lines).toEqual([
			{ topic: "slow", verdict: "warn", message: "not known: no answer within 0.2 seconds" },
			{ topic: "broken", verdict: "fail", message: "no such thing" },
			{ topic: "fine", verdict: "ok", message: "well" },
		]);
		expect(report.skipped).toEqual([{ topic: "elsewhere", reason: "the settings are wrong" }]);
		expect(ended).toBe(true);
		expect(shown[0]).toEqual(["slow", "broken", "fine", "elsewhere"]);
		expect(shown.at(-1)).toEqual([]);
	});

	test("probes run side by side", async () => {
		const wait = async () => {
			await new Promise((done) => setTimeout(done, 300));
			return await ok();
		};
		const started = performance.now();
		await runProbes(
			makeContext(),
			Array.from({ length: 20 }, (_, number) => probe(String(number), wait)),
			() => undefined,
		);
		expect(performance.now() - started).toBeLessThan(20 * 300);
	});

	test("Ctrl-C ends it", async () => {
		const stop = new AbortController();
		const running = runProbes(
			makeContext(stop.signal),
			[
				probe("slow", async ({ context }) => {
					await new Promise((_, fail) =>
						context.signal.addEventListener("abort", () => fail(new Error("ended"))),
					);
					return [];
				}),
			],
			() => undefined,
		);
		stop.abort(new Error("interrupted"));
		await expect(running).rejects.toThrow("interrupted");
	});

	test("lines are broken at the width of the terminal, and a command stays whole", () => {
		const text = reportText(
			{
				lines: [
					{ topic: "disk", verdict: "ok", message: "enough" },
					{
						topic: "services",
						verdict: "fail",
						message: "the database does not run (stopped, exit code 0); until it does, no backup can be made",
						fix: "./docker-dev.sh start",
					},
					{ topic: "services", verdict: "warn", message: "proxy is still starting" },
				],
				skipped: [
					{ topic: "drift", reason: "it is so" },
					{ topic: "ports", reason: "it is so" },
				],
			},
			output,
			70,
		);
		expect(text.split("\n")).toEqual([
			"ok    disk      enough",
			"fail  services  the database does not run (stopped, exit code 0);",
			"                until it does, no backup can be made",
			"           fix  ./docker-dev.sh start",
			"warn            proxy is still starting",
			"-               not looked at, because it is so: drift, ports",
		]);
	});

	test("the summary counts, and names the failures", () => {
		const line = (verdict: Finding["verdict"]) => ({ topic: "a", verdict, message: "" });
		expect(summary({ lines: [line("ok"), line("warn"), line("fail"), line("fail")], skipped: [] })).toBe(
			"1 ok, 1 warning, 2 failures",
		);
		expect(summary({ lines: [line("ok")], skipped: [{ topic: "b", reason: "" }] })).toBe(
			"1 ok, 0 warnings, 0 failures, 1 not looked at",
		);
	});
});

describe("the troubleshooting cases", () => {
	test("are the specification's seven", () => {
		expect(Object.values(cases).map(({ symptom }) => symptom)).toEqual([
			'Backup Fails with "Database Not Running"',
			"Restore Doesn't Apply Changes",
			"Volume Disk Space Full",
			"Can't Delete Volume (In Use)",
			"Backup Directory Not Found",
			"PostgreSQL Won't Start After Restore",
			"Lost Data After `docker compose down -v`",
		]);
	});

	test.each(Object.entries(cases))(
		"%s has a probe, a message about its object, and a fix",
		(name, { probe }) => {
			expect(probes.map(({ topic }) => topic)).toContain(probe);
			const found = recognised(makeContext(), name as keyof typeof cases, "THE OBJECT", { object: "NAME" });
			expect(found).toMatchObject({ case: name, message: expect.stringContaining("THE OBJECT") });
			expect(found.fix).toMatch(/\.\/docker-dev\.sh |docker rm /);
		},
	);

	test("no fix tells anybody to prune volumes", () => {
		const fixes = Object.entries(cases).map(([, { fix }]) => fix(makeContext().command, "NAME"));
		for (const fix of fixes)
			expect(fix.replace(/never docker system prune --volumes/, "")).not.toContain("prune --");
	});
});

test.each([
	[[1, 41], "warn", /delete the data of a stopped stack here/],
	[[1, 42], "ok", /leaves the stack's volumes alone here/],
	[[1, 51], "ok", /docker volume prune --all would not/],
	[[2, 0], "ok", /./],
] as const)("docker system prune --volumes with API %j: %s", (api, verdict, message) => {
	expect(prune({ api })).toMatchObject({ verdict, message: expect.stringMatching(message) });
});

describe("limits", () => {
	const disk: Disk = {
		holds: "backups",
		path: "/b",
		usedPercent: 84,
		freeBytes: 5 << 20,
		usedInodesPercent: 1,
	};
	const at = (changes: Partial<Disk>) => passedByDisks([{ ...disk, ...changes }], { diskWarnPercent: 85 });

	test("a disk warns from the limit on, is full at 97%, and runs out of inodes too", () => {
		expect(at({})).toEqual([]);
		expect(at({ usedPercent: 85 })).toEqual([
			{ full: false, text: "the disk with backups (/b): 85% used, 5.0M free; the limit is 85%" },
		]);
		expect(at({ usedPercent: 97 })).toMatchObject([{ full: true }]);
		expect(at({ usedInodesPercent: 99 })).toEqual([
			{
				full: true,
				text: "the disk with backups (/b) has 99% of its inodes in use; the limit is 85%",
			},
		]);
	});

	test("two directories on one disk are one disk; one that is to be made is on its parent's", async () => {
		const disks = await readDisks(project, join(project, "to", "be", "made"));
		expect(disks).toEqual([
			expect.objectContaining({
				holds: "Docker's data and backups",
				path: project,
				freeBytes: expect.any(Number),
			}),
		]);
	});

	test("a data root that is on another machine is not taken for a disk of this one", async () => {
		expect(await readDisks("/nonexistent/docker", backups)).toMatchObject([{ holds: "backups" }]);
	});

	test("a volume warns from its limit on; what was not measured says nothing", () => {
		const volumes = volumeCatalogue.map((entry) => ({ key: entry.key, entry, name: `app-${entry.key}` }));
		const sizes = new Map([
			["app-postgres-data", 10 << 20],
			["app-redis-data", (10 << 20) - 1],
		]);
		expect(passedByVolumes(volumes, sizes, { volumeWarnGb: 10 })).toEqual([
			"volume app-postgres-data (PostgreSQL database) holds 10G; the limit is 10G",
		]);
	});

	test("a backup that does not fit is said before it is tried", async () => {
		expect(brief(await lookAtDisks(makeFacts()))).toEqual([expect.stringMatching(/^(ok|warn) /)]);
		const file = keep(ago(3600_000));
		const facts = makeFacts();
		const { points, ...state } = await facts.backups();
		const huge = points.map((point) => ({ ...point, size: Number.MAX_SAFE_INTEGER }));
		Object.assign(facts, { backups: async () => ({ ...state, points: huge }) });
		expect(file).toMatch(/^full_backup_/);
		expect(await lookAtDisks(facts)).toContainEqual(
			expect.objectContaining({
				verdict: "fail",
				case: "disk-full",
				message: expect.stringMatching(/^the next backup needs about .*, and its disk has .* free/),
			}),
		);
	});
});

describe("backups", () => {
	test("a new one is well, and the next is named", async () => {
		const file = keep(ago(60_000));
		expect(brief(await lookAtBackups(makeFacts()))).toEqual([
			expect.stringMatching(
				new RegExp(`^ok ${file}, 1 minute old, 1B, verified \\(content\\); the next is planned in`),
			),
		]);
	});

	test("one that is older than the schedule promises is a failure", async () => {
		const file = keep(ago(3 * day));
		expect(brief(await lookAtBackups(makeFacts()))).toEqual([
			expect.stringMatching(
				new RegExp(`^fail a full backup was due .* ago; the newest good one: ${file}, 3 days old`),
			),
		]);
	});

	test("a damaged one, a failed run and a missing schedule are each a line", async () => {
		configure({ backupSchedule: "", weeklyBackupSchedule: "" });
		keep(ago(60_000));
		keep(ago(day), { size: 999 });
		const run = { kind: "full", class: "daily", startedAt: ago(5000).toISOString() } as const;
		await writeStatus(backups, stack, {
			since: ago(day).toISOString(),
			lastRun: {
				...run,
				endedAt: ago(4000).toISOString(),
				outcome: "failed",
				message: "the disk with /backups is full",
			},
		});
		expect(brief(await lookAtBackups(makeFacts()))).toEqual([
			`warn the last run failed 4 seconds ago: the disk with ${backups} is full`,
			expect.stringMatching(/^warn full_backup_\S+ is damaged: it has 1 bytes, and 999 were written/),
			expect.stringMatching(/^warn no backup is scheduled; the newest good one: full_backup_/),
		]);
	});
});

test("a restore that was cut off is a failure, and one under way no more than a warning", async () => {
	expect(await lookAtRestore(makeFacts())).toEqual([]);
	await writeRestoreJournal(backups, {
		...{ formatVersion: 1, id: "01234567", stack, archive: "full.tar.gz", source: "full.tar.gz" },
		...{ startedAt: ago(5000).toISOString(), phase: "swapping", targets: ["database"], redis: "keep" },
		services: [],
	});
	expect(brief(await lookAtRestore(makeFacts()))).toEqual([
		"fail the restore of full.tar.gz was cut off (swapping); until it is put right no backup is made",
	]);
	const lock = acquireLock(lockFile(backups, stack), "restore");
	expect(brief(await lookAtRestore(makeFacts()))).toEqual([
		"warn a restore of full.tar.gz is under way (swapping)",
	]);
	lock.release();
});

test("copies in the bucket: none yet, an upload that failed, and well", async () => {
	expect(await lookAtOffsite(makeFacts())).toEqual([]);
	configure({
		...{ offsite: true, offsiteBucket: "shop" },
		offsiteRegion: "eu-central-1",
		offsiteRetentionDays: 90,
	});
	const destination = `s3://shop/persistent-stack/${stack}`;
	expect(brief(await lookAtOffsite(makeFacts()))).toEqual([
		`warn nothing was uploaded yet to ${destination}`,
	]);
	const push = {
		...{ startedAt: ago(2 * day).toISOString(), endedAt: ago(day).toISOString() },
		...{ uploaded: [], superseded: [], waiting: ["a"], warnings: [] },
	};
	const remember = (lastPush: OffsiteRecord["lastPush"]) =>
		writeOffsite(backups, stack, { formatVersion: 1, destination, copies: [], lastPush });
	await remember({ ...push, outcome: "failed", message: "the key has expired" });
	expect(brief(await lookAtOffsite(makeFacts()))).toEqual([
		`fail the last upload failed 1 day ago: the key has expired; 0 good copies in ${destination}, the newest full one: none`,
	]);
	await remember({ ...push, outcome: "success" });
	expect(brief(await lookAtOffsite(makeFacts()))).toEqual([
		`ok 0 good copies in ${destination}, the newest full one: none`,
	]);
});

describe("the backup directory", () => {
	test.each([
		[0o700, "ok", /is its owner's alone, mode 700/],
		[0o755, "warn", /has mode 755: other users can get at backups/],
		[0o770, "warn", /has mode 770/],
		[0o500, "fail", /has mode 500: its owner cannot write to it/],
	])("of mode %o", async (mode, verdict, message) => {
		chmodSync(backups, mode);
		const [found] = await lookAtBackupDirectory(makeFacts());
		expect(found).toMatchObject({ verdict, message: expect.stringMatching(message) });
		if (verdict !== "ok") expect(found?.fix).toBe(`chmod 700 ${backups}`);
		chmodSync(backups, 0o700);
	});

	test("that is missing is a failure once the stack was applied, and no directory always", async () => {
		renameSync(backups, `${backups}.aside`);
		expect(brief(await lookAtBackupDirectory(makeFacts()))).toEqual([
			`ok ${backups} is made by the first up`,
		]);
		recordApplied();
		expect(await lookAtBackupDirectory(makeFacts())).toMatchObject([
			{
				verdict: "fail",
				case: "backup-directory-missing",
				fix: expect.stringContaining(`mkdir -p ${backups}`),
			},
		]);
		writeFileSync(backups, "");
		expect(brief(await lookAtBackupDirectory(makeFacts()))).toEqual([
			expect.stringMatching(/^fail .* is not a directory/),
		]);
	});
});

describe("the clock", () => {
	test("backups of the future are told", async () => {
		keep(ago(-2 * day));
		keep(ago(day));
		expect(await lookAtClock(makeFacts())).toMatchObject([
			{
				verdict: "warn",
				message: expect.stringMatching(/^1 backup of the future, the last full_backup_\S+, in 1 day/),
			},
		]);
	});

	test.each([
		[0, "ok", /agree/],
		[4, "ok", /agree/],
		[90, "warn", /the clock of the containers is 90 s ahead of this machine's/],
		[-90, "warn", /90 s behind/],
	])("containers that are %d s ahead", async (clockAhead, verdict, message) => {
		const facts = Object.assign(makeFacts(), { engine: async () => ({ clockAhead }) });
		expect(await lookAtClock(facts)).toMatchObject([{ verdict, message: expect.stringMatching(message) }]);
	});
});

describe("keys", () => {
	const recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
	const passphrase = () => join(project, ".stack", "passphrase");

	test("the passphrase of an applied stack must be there, for its owner alone", async () => {
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			expect.stringMatching(/^ok no state has been made yet/),
		]);
		recordApplied();
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			expect.stringMatching(/^fail the passphrase of the state is missing/),
		]);
		writeFileSync(passphrase(), "secret", { mode: 0o600 });
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			"ok the passphrase of the state is there; no private key lies here",
		]);
		chmodSync(passphrase(), 0o644);
		expect(await lookAtKeys(makeFacts())).toMatchObject([
			{ verdict: "fail", message: expect.stringContaining("has mode 644"), fix: `chmod 600 ${passphrase()}` },
		]);
	});

	test("a private key beside the backups or in the project is found, and other files are not taken for one", async () => {
		writeFileSync(join(backups, "key.txt"), "# created: today\nAGE-SECRET-KEY-1QQQQ\n");
		mkdirSync(join(project, "config", "keys"), { recursive: true });
		writeFileSync(join(project, "config", "keys", "id"), "-----BEGIN OPENSSH PRIVATE KEY-----\n");
		writeFileSync(join(project, "notes.md"), "keys begin with AGE-SECRET-KEY-1");
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			expect.stringMatching(new RegExp(`^fail ${backups}/key.txt holds a private key`)),
		]);
		// An ssh key matters where backups are encrypted to one.
		configure({ backupRecipients: ["ssh-ed25519 AAAA"] });
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			expect.stringContaining("key.txt"),
			expect.stringContaining("config/keys/id holds a private key"),
		]);
	});

	test("encrypted backups that no key has opened, or none for long, are told with how to try", async () => {
		configure({ backupRecipients: [recipient] });
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([expect.stringMatching(/^ok /)]);
		const bytes = { ok: true, how: "bytes", at: ago(day).toISOString() } as const;
		keep(ago(200 * day), { encrypted: true, verified: bytes });
		const newest = keep(ago(day), { encrypted: true, verified: bytes });
		expect(await lookAtKeys(makeFacts())).toMatchObject([
			{
				verdict: "warn",
				message: "backups are encrypted, and none was ever opened with a private key",
				fix: expect.stringContaining(`backup verify ${newest} --identity FILE`),
			},
		]);
		const opened = (at: Date) => ({ ok: true, how: "content", at: at.toISOString() }) as const;
		keep(ago(200 * day), { encrypted: true, verified: opened(ago(100 * day)) });
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([
			"warn no encrypted backup was opened with a private key for 100 days",
		]);
		keep(ago(day), { encrypted: true, verified: opened(ago(day)) });
		expect(brief(await lookAtKeys(makeFacts()))).toEqual([expect.stringMatching(/^ok /)]);
	});
});

test("what the check of the database's files says is told with each damaged object", () => {
	const command = (line: string) => line;
	expect(judge("NOTICE:  read: 3 tables, 4 indexes\n", command)).toEqual({
		verdict: "ok",
		message: "3 tables, 4 indexes read with amcheck, all sound",
	});
	const damage = Array.from({ length: 7 }, (_, number) => `NOTICE:  damage: table t${number}: torn`).join(
		"\n",
	);
	expect(judge(`${damage}\nNOTICE:  read: 3 tables, 4 indexes\n`, command)).toMatchObject({
		verdict: "fail",
		message:
			"damaged: table t0: torn; table t1: torn; table t2: torn; table t3: torn; table t4: torn; and 2 more",
	});
	expect(
		judge('ERROR:  extension "amcheck" is not available\nDETAIL:  Could not open', command),
	).toMatchObject({
		verdict: "warn",
	});
	expect(judge("psql: error: connection to server failed", command)).toMatchObject({
		verdict: "fail",
		message: "the check did not come to its end: psql: error: connection to server failed",
	});
});

describe("the command", () => {
	const nowhere = "unix:///nonexistent/docker.sock";
	const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
	const run = async (dockerHost: string) => {
		const options = { cwd: project, env: { ...process.env, DOCKER_HOST: dockerHost } };
		const child = spawn(process.execPath, [main, "-s", stack, "doctor", "--json"], options);
		let stdout = "";
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			stdout += text;
		});
		const [status] = await once(child, "close");
		return { status, ...JSON.parse(stdout) };
	};
	const find = (report: { findings: (Finding & { topic: string })[] }, topic: string) =>
		report.findings.filter((finding) => finding.topic === topic);

	test("works where Docker is down and there is no stack, and says so with exit code 1", async () => {
		const report = await run(nowhere);
		expect(report).toMatchObject({ status: 1, healthy: false, stack });
		expect(find(report, "docker")).toMatchObject([
			{ verdict: "fail", message: expect.stringMatching(/Docker/) },
		]);
		for (const topic of ["settings", "disk", "backup directory", "clock", "keys"]) {
			expect([topic, find(report, topic).length]).toEqual([topic, topic === "clock" ? 0 : 1]);
		}
		expect(report.skipped).toContainEqual({ topic: "services", reason: "Docker does not answer" });
		expect(report.skipped).toContainEqual({ topic: "backups", reason: "Docker does not answer" });
	});

	test("of an applied stack it knows the backups without Docker", async () => {
		recordApplied();
		const report = await run(nowhere);
		expect(find(report, "backups")).toMatchObject([{ verdict: "fail" }]);
	});

	test("is not held up by a Docker that takes the call and never answers", async () => {
		const socket = join(project, "docker.sock");
		const callers: Socket[] = [];
		const server = createServer((caller) => callers.push(caller)).listen(socket);
		const report = await run(`unix://${socket}`);
		for (const caller of callers) caller.destroy();
		server.close();
		expect(callers.length).toBeGreaterThan(0);
		expect(report).toMatchObject({ status: 1 });
		expect(report.seconds).toBeLessThan(30);
		expect(find(report, "docker")).toMatchObject([
			{ verdict: "fail", message: expect.stringContaining("no answer within 5 seconds") },
		]);
		expect(find(report, "keys")).toHaveLength(1);
	});

	test("settings that are wrong are a line of it, and stop what depends on them alone", async () => {
		configure({ port: "no number" });
		const report = await run(nowhere);
		expect(find(report, "settings")).toMatchObject([
			{
				verdict: "fail",
				message: expect.stringContaining("port"),
				fix: expect.stringContaining(`Pulumi.${stack}.yaml`),
			},
		]);
		expect(find(report, "docker")).toHaveLength(1);
		expect(report.skipped).toContainEqual({ topic: "disk", reason: "the settings are wrong" });
	});
});
