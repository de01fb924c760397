/** Clocks that jump: copies stay, and so does the floor. */
import { readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { docker, type Outcome, Rig } from "./rig.ts";

const rig = new Rig("clock");
const library = "/usr/lib/faketime.so";
const copies = 2;

const day = 86_400;

/**
 * Options of an agent whose clock shows another time, that many seconds from now. Redis dates its snapshots
 * itself and cannot run under the library, so what it says is moved along.
 */
function clock(offset: number): string[] {
	const seen = join(rig.directory, `redis-check-rdb${offset}`);
	const shift = `s/(AUX FIELD ctime = ')(\\d+)/$1.($2 + ${offset})/e`;
	writeFileSync(
		seen,
		`#!/bin/sh\nset -e\nsaid=$(/opt/redis/lib/loader --library-path /opt/redis/lib /opt/redis/bin/redis-check-rdb "$@")\nprintf '%s\\n' "$said" | perl -pe "${shift.replaceAll("$", "\\$")}"\n`,
		{ mode: 0o755 },
	);
	return [
		`--volume=${join(rig.directory, "faketime.so")}:${library}:ro`,
		`--volume=${seen}:/usr/local/bin/redis-check-rdb:ro`,
		...[
			`LD_PRELOAD=${library}`,
			`FAKETIME=${offset < 0 ? "" : "+"}${offset}`,
			"FAKETIME_DONT_FAKE_MONOTONIC=1",
		].map((variable) => `--env=${variable}`),
	];
}

beforeAll(async () => {
	await rig.start();
	rig.shell(
		`apt-get update -qq; apt-get install -y -qq --no-install-recommends libfaketime >/dev/null 2>&1; cp /usr/lib/*/faketime/libfaketimeMT.so.1 ${rig.directory}/faketime.so`,
	);
	rig.config = { ...rig.config, minimumCopies: copies };
	rig.sql("CREATE TABLE record(id int); INSERT INTO record SELECT generate_series(1, 100);");
}, 240_000);
afterAll(() => rig.stop(), 60_000);

/** A backup by another clock; what it made, and what its retention deleted. */
function backup(options: string[]): { file: string; pruned: string[] } {
	const outcome: Outcome = rig.agent(["backup", "--json"], options);
	if (outcome.code !== 0) throw new Error(outcome.stderr);
	return JSON.parse(outcome.stdout);
}

test("a year ahead and back again: the floor stands, the newest is the real one, nothing is lost to the jump", () => {
	const before = [rig.backup(), rig.backup(), rig.backup()];

	const jumped = backup(clock(400 * day));
	const year = new Date(Date.now() + 400 * day * 1000).getUTCFullYear();
	expect(jumped.file).toMatch(new RegExp(`^full_backup_${year}`));
	// By that clock the others are 400 days old: they go, but for the floor.
	expect(jumped.pruned).toEqual(before.slice(0, 2));
	expect(rig.archives()).toEqual([before[2], jumped.file]);

	const { file, pruned } = backup([]);
	expect(pruned).toEqual([]);
	expect(rig.archives()).toEqual([before[2], file, jumped.file]);
	expect(readlinkSync(join(rig.backups, "latest.tar.gz"))).toBe(file);
	const plan = JSON.parse(rig.agent(["prune", "--dry-run", "--json"]).stdout);
	expect(plan.decisions.find((one: { file: string }) => one.file === jumped.file)).toMatchObject({
		action: "keep",
		reason: "future",
	});
	expect(plan.copiesKept).toBe(copies);
	expect(JSON.parse(rig.agent(["status", "--json"]).stdout)).toMatchObject({ fresh: true, newest: { file } });
}, 120_000);

test("a year back: the new one does not push out what is there", () => {
	const before = rig.archives();
	const { file, pruned } = backup(clock(-400 * day));
	expect(pruned).toEqual([]);
	expect(rig.archives()).toEqual([file, ...before].sort());
	expect(rig.agent(["verify", "--all"]).code).toBe(0);
	// By the true clock it is too old to be one of the floor, and goes in its turn.
	expect(backup([]).pruned).toEqual([file]);
	expect(rig.archives()).toEqual(expect.arrayContaining(before));
}, 120_000);

test("the daily backup comes when the clock says 02:00", async () => {
	const tomorrow = new Date(Date.now() + day * 1000).toISOString().slice(0, 10);
	const almost = Math.round((Date.parse(`${tomorrow}T01:59:54Z`) - Date.now()) / 1000);
	const name = `${rig.name}-sidecar`;
	const made = () => rig.archives().filter((file) => file.includes(`${tomorrow.replaceAll("-", "")}_0200`));
	docker(...["run", "--detach", `--name=${name}`], ...rig.sidecarArguments(clock(almost)), rig.agentImage);
	for (const deadline = Date.now() + 60_000; made().length === 0 && Date.now() < deadline; ) await sleep(200);
	expect(made()).toHaveLength(1);
	expect(rig.index(made()[0] as string).manifest).toMatchObject({ class: "daily", kind: "full" });
}, 120_000);
