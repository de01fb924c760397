/** The agent as the sidecar runs it: schedules, what was missed, health. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { docker, Rig, run } from "./rig.ts";

const rig = new Rig("scheduler");
beforeAll(() => rig.start(), 180_000);
afterAll(() => rig.stop(), 60_000);

function startSidecar(): string {
	const name = `${rig.name}-sidecar`;
	run("docker", ["rm", "--force", "--volumes", name]);
	docker("run", "--detach", `--name=${name}`, ...rig.sidecarArguments(), rig.agentImage);
	return name;
}

async function until(condition: () => boolean, seconds = 30): Promise<boolean> {
	for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await sleep(100))
		if (condition()) return true;
	return false;
}

test("a new stack makes no backup at its start and is healthy; a late one is not", async () => {
	rig.config = { ...rig.config, schedules: { daily: "0 2 * * *", weekly: "0 3 * * 0" } };
	const sidecar = startSidecar();
	await until(() => rig.agent(["status"]).code === 0);
	await sleep(1500);
	expect(rig.archives()).toEqual([]);
	expect(run("docker", ["exec", sidecar, "agent", "health"]).code).toBe(0);
	writeFileSync(
		join(rig.backups, ".test.status.json"),
		JSON.stringify({ since: "2020-01-01T00:00:00.000Z" }),
	);
	const red = run("docker", ["exec", sidecar, "agent", "health"]);
	expect([red.code, red.stdout]).toEqual([
		1,
		expect.stringMatching(/a full backup was due at .* there is no good one/),
	]);
}, 60_000);

test("what was missed is made up once, and not again at the next start", async () => {
	writeFileSync(
		join(rig.backups, ".test.status.json"),
		JSON.stringify({ since: "2020-01-01T00:00:00.000Z" }),
	);
	let sidecar = startSidecar();
	expect(await until(() => rig.archives().length === 1)).toBe(true);
	await until(() => run("docker", ["exec", sidecar, "agent", "health"]).code === 0);
	await sleep(2000);
	expect(rig.archives()).toHaveLength(1);
	expect(rig.index(rig.archives()[0] as string).manifest.class).toBe("weekly");
	docker("kill", "--signal=KILL", sidecar);
	sidecar = startSidecar();
	await sleep(3000);
	expect(rig.archives()).toHaveLength(1);
	const before = Date.now();
	docker("stop", sidecar);
	expect(Date.now() - before).toBeLessThan(8000);
}, 90_000);

test("a schedule makes its recovery points one after the other", async () => {
	for (const file of rig.files()) rmSync(join(rig.backups, file), { recursive: true });
	rig.config = { ...rig.config, schedules: { daily: "*/2 * * * * *", weekly: null }, minimumCopies: 1 };
	const sidecar = startSidecar();
	expect(await until(() => rig.archives().length >= 3)).toBe(true);
	docker("stop", sidecar);
	const log = run("docker", ["logs", sidecar]).stderr;
	expect(log).not.toMatch(/"event":"failed"/);
	for (const file of rig.archives()) expect(rig.index(file).manifest.class).toBe("daily");
	expect(rig.files().filter((name) => name.startsWith(".partial"))).toEqual([]);
}, 60_000);

test("a run whose caller goes away ends and leaves nothing", async () => {
	rig.config = { ...rig.config, schedules: { daily: null, weekly: null } };
	const sidecar = startSidecar();
	const before = rig.archives();
	rig.shell("head -c 200000000 /dev/urandom > /media/large");
	const gone = run("bash", ["-c", `sleep 0.8 | docker exec -i ${sidecar} agent backup --with-stdin`]);
	expect(gone.code).toBe(130);
	expect(gone.stderr).toMatch(/whoever asked for the run went away/);
	expect(rig.archives()).toEqual(before);
	expect(rig.files().filter((name) => name.startsWith(".partial"))).toEqual([]);
}, 60_000);

test("recovery points belong to the owner of the backup directory, who need not be root", () => {
	docker(
		"run",
		"--rm",
		`--volume=${rig.backups}:/backups`,
		"--entrypoint=chown",
		rig.agentImage,
		"-R",
		"4321:4321",
		"/backups",
	);
	rig.shell("chown 10001:10001 /media/large; chmod 0600 /media/large");
	const file = rig.backup();
	expect(rig.shell(`stat -c '%u:%g %a' ${rig.backups}/${file} ${rig.backups}/${file}.json`)).toBe(
		"4321:4321 600\n4321:4321 600",
	);
}, 60_000);
