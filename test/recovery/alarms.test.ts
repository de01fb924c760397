/** The sidecar as it runs, and what it tells a real server when backups fail, disks fill and metrics are asked for. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import type { AlarmBody } from "../../agent/alarms/ledger.ts";
import { metrics } from "../../agent/metrics.ts";
import { acquireLock, lockFile } from "../../recovery/lock.ts";
import { docker, Rig, run } from "./rig.ts";

const rig = new Rig("alarms");
const sidecar = `${rig.name}-sidecar`;
const port = 9187;
let server: Server;
/** Answers still to be failures. */
let failing = 0;
let hooks: AlarmBody[] = [];
let pings: string[] = [];

beforeAll(async () => {
	await rig.start();
	server = createServer(async (request, response) => {
		let body = "";
		for await (const chunk of request) body += chunk;
		if (failing > 0) {
			failing--;
			response.writeHead(500).end();
			return;
		}
		if (request.url?.startsWith("/hook/")) hooks.push(JSON.parse(body));
		else pings.push(request.url?.endsWith("/fail") ? "fail" : "good");
		response.end("ok");
	});
	// The host, as containers of this network see it.
	const gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", rig.name);
	await new Promise<void>((done) => server.listen(0, gateway, done));
	const origin = `http://${gateway}:${(server.address() as AddressInfo).port}`;
	writeFileSync(join(rig.directory, "secrets", "alarm_webhook"), `${origin}/hook/THE-SECRET`);
	writeFileSync(join(rig.directory, "secrets", "alarm_ping"), `${origin}/ping/THE-SECRET\n`);
}, 240_000);
afterAll(() => {
	server?.close();
	rig.stop();
}, 60_000);
afterEach(() => {
	run("docker", ["rm", "--force", "--volumes", sidecar]);
	for (const file of ["status", "alarms"]) rmSync(join(rig.backups, `.test.${file}.json`), { force: true });
	hooks = [];
	pings = [];
	failing = 0;
});

const alarms = {
	webhookFile: "/run/secrets/alarm_webhook",
	pingFile: "/run/secrets/alarm_ping",
	intervalSeconds: 0.5,
	retrySeconds: [0.3, 0.3, 0.3],
};

function start(config: Record<string, unknown>, options: readonly string[] = [], omit = /^$/): void {
	rig.config = { ...rig.config, ...config };
	const given = rig.sidecarArguments(options).filter((option) => !omit.test(option));
	docker("run", "--detach", `--name=${sidecar}`, ...given, rig.agentImage);
}

async function until(what: string, condition: () => boolean, seconds = 30): Promise<void> {
	for (const deadline = Date.now() + seconds * 1000; !condition(); await sleep(100)) {
		if (Date.now() > deadline) {
			const seen = JSON.stringify({ hooks, pings }, null, 1);
			throw new Error(`waited in vain: ${what}\n${seen}\n${run("docker", ["logs", sidecar]).stderr}`);
		}
	}
}

const told = () => hooks.map(({ event, condition }) => (condition ? `${event} ${condition}` : event));
const status = () => JSON.parse(readFileSync(join(rig.backups, ".test.status.json"), "utf8"));

function longAgo(): void {
	const since = { since: "2020-01-01T00:00:00.000Z" };
	writeFileSync(join(rig.backups, ".test.status.json"), JSON.stringify(since));
}

test("a failed run is told with its reason and tried again; its success is told too, and no address anywhere", async () => {
	longAgo();
	rig.writeSecrets("wrong");
	// The server is out of order at first.
	failing = 2;
	start({ alarms, schedules: { daily: "0 2 * * *", weekly: null }, retryMinutes: [0.1] });
	const both = ["raised backup-failed", "raised backup-overdue"];
	await until("both alarms", () => both.every((one) => told().includes(one)) && pings.length >= 2);
	await sleep(2000);
	// Many looks later there is still one message of each.
	expect(told().sort()).toEqual(both);
	expect(pings).toEqual(["fail", "fail"]);
	expect(hooks.find(({ condition }) => condition === "backup-failed")).toMatchObject({
		version: 1,
		stack: "test",
		what: "the daily backup of stack test failed",
		why: expect.stringMatching(/refuses the password of postgres.*nothing was dumped/),
		mend: expect.stringMatching(/docker-dev\.sh -s test backup/),
		text: expect.stringMatching(/^ALARM: the daily backup of stack test failed\nWhy: .*\nWhat to do: /),
	});
	rig.writeSecrets();
	await until("the end of both, and the success", () => told().length >= 5 && pings.length >= 3);
	expect(told().slice(2).sort()).toEqual(["resolved backup-failed", "resolved backup-overdue", "succeeded"]);
	expect(pings).toEqual(["fail", "fail", "good"]);
	expect(status().runs.success).toBe(1);
	const places = [
		docker("inspect", sidecar),
		run("docker", ["logs", sidecar]).stderr,
		docker("top", sidecar, "-eo", "pid,args"),
		readFileSync(join(rig.backups, ".test.alarms.json"), "utf8"),
		rig.agent(["status", "--json"]).stdout,
	];
	for (const place of places) expect(place).not.toMatch(/THE-SECRET/);
	expect(run("docker", ["logs", sidecar]).stderr).toMatch(/the daily backup is tried again at/);
}, 90_000);

test("a run that the lock keeps out is skipped, not failed, and is made when the lock is free", async () => {
	for (const file of rig.files()) rmSync(join(rig.backups, file), { recursive: true });
	longAgo();
	const lock = acquireLock(lockFile(rig.backups, "test"), "restore");
	start({
		alarms,
		schedules: { daily: "0 2 * * *", weekly: null },
		retryMinutes: [0.05],
		lockWaitSeconds: 0,
	});
	try {
		await until("two skipped runs", () => status().runs?.skipped >= 2);
		expect(status()).toMatchObject({
			lastSkipped: { class: "daily", message: expect.stringMatching(/has been running "restore"/) },
			runs: { failed: 0, success: 0 },
		});
		expect(status().lastRun).toBeUndefined();
		expect(told().filter((one) => one.includes("failed"))).toEqual([]);
	} finally {
		lock.release();
	}
	await until("the run", () => status().runs.success === 1);
	expect(status().lastSkipped).toBeDefined();
}, 60_000);

test("a disk that fills is told although nothing can be written to it, and a volume above its size", async () => {
	rig.shell("head -c 2000000 /dev/urandom > /media/large");
	start(
		{ alarms: { ...alarms, volumeGb: 0.001 }, schedules: { daily: null, weekly: null } },
		["--tmpfs=/backups:size=2m,mode=0700"],
		/:\/backups$/,
	);
	await until("the volume", () => told().includes("raised volume:backend-media"));
	expect(hooks.find(({ condition }) => condition === "volume:backend-media")?.why).toBe(
		"the threshold is 0.001 GiB",
	);
	run("docker", ["exec", sidecar, "sh", "-c", "cat /dev/zero > /backups/big"]);
	await until("the disk", () => told().includes("raised disk:backups"));
	await sleep(1500);
	expect(told().filter((one) => one.includes("disk"))).toEqual(["raised disk:backups"]);
	docker("exec", sidecar, "rm", "/backups/big");
	await until("its end", () => told().includes("resolved disk:backups"));
	expect(pings).toEqual([]);
}, 60_000);

test("metrics and health answer at the host's loopback address, with what the table says", async () => {
	const file = rig.backup();
	rig.agent(["backup-db"]);
	start({ alarms: {}, metricsPort: port, schedules: { daily: "0 2 * * *", weekly: "0 3 * * 0" } }, [
		`--publish=127.0.0.1::${port}`,
	]);
	const [address = ""] = docker("port", sidecar, String(port)).split("\n");
	expect(address).toMatch(/^127\.0\.0\.1:/);
	const get = async (path: string) => {
		const response = await fetch(`http://${address}${path}`);
		return {
			status: response.status,
			type: response.headers.get("content-type"),
			text: await response.text(),
		};
	};
	let ready = false;
	await until("the server", () => {
		void get("/metrics").then(
			({ text }) => {
				ready = text.includes("persistent_stack_volume_size_bytes");
			},
			() => undefined,
		);
		return ready;
	});
	expect(await get("/healthz")).toMatchObject({
		status: 200,
		text: expect.stringContaining(`"newest":"${file}"`),
	});
	expect((await get("/")).status).toBe(404);
	const { type, text } = await get("/metrics");
	expect(type).toBe("text/plain; version=0.0.4; charset=utf-8");
	const samples = new Map(
		[...text.matchAll(/^([a-z_]+)(\{[^}]*\}) (\S+)$/gm)].map(([, name, labels, value]) => [
			`${name}${labels}`,
			Number(value),
		]),
	);
	const sample = (name: string, labels = "") =>
		samples.get(`persistent_stack_${name}{${labels}stack="test"}`);
	const { size, manifest } = rig.index(file);
	expect(sample("backup_last_success_timestamp_seconds")).toBe(Date.parse(manifest.startedAt) / 1000);
	expect(sample("backup_last_success_size_bytes")).toBe(size);
	expect(sample("backup_last_success_duration_seconds", 'phase="making",')).toBeGreaterThan(0);
	expect(sample("backup_last_run_success")).toBe(1);
	expect(sample("backup_fresh")).toBe(1);
	expect(sample("backup_runs_total", 'outcome="success",')).toBe(2);
	expect(sample("backup_stored_bytes", 'destination="local",')).toBeGreaterThan(size);
	expect(sample("volume_size_bytes", 'volume="backend-media",')).toBeGreaterThanOrEqual(2_000_000);
	expect(sample("volume_size_bytes", 'volume="postgres-data",')).toBeGreaterThan(1_000_000);
	expect(sample("disk_free_bytes", 'disk="backups",')).toBeGreaterThan(0);
	// Nothing but what the table has, which is what the alert rules and the dashboard are checked against.
	const names = new Set([...samples.keys()].map((key) => key.split("{")[0]));
	expect([...names].filter((name) => !((name as string) in metrics))).toEqual([]);
	expect(run("docker", ["logs", sidecar]).stderr).not.toMatch(/"warning"/);
}, 60_000);
