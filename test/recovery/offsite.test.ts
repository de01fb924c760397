/** The agent's own container and a real S3 server: upload, degraded runs, a clean host, and bounded memory. */
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { indexText } from "../../recovery/index-file.ts";
import { S3Container } from "../offsite/s3-container.ts";
import { installed, keys, kinds, region } from "../offsite/s3-servers.ts";
import { index, manifest } from "./fixtures.ts";
import { docker, Rig, run } from "./rig.ts";

const program = await installed(kinds.versity);
const suite = program ? describe : describe.skip;
const isLong = Boolean(process.env.STACK_TEST_LONG);
const bucket = "copies";

suite("offsite, in the agent's container", () => {
	const rig = new Rig("offsite");
	let server: S3Container;

	beforeAll(async () => {
		await rig.start();
		rig.sql("CREATE TABLE record(id int, note text); INSERT INTO record VALUES (1, 'one')");
		rig.shell("head -c 3000000 /dev/urandom > /media/a; echo x > /static/x");
		server = new S3Container(program as string, rig.images.node);
		server.join(rig.name);
		await server.createBucket(bucket);
		writeKey(keys);
		rig.config = { ...rig.config, offsite: offsite() };
	}, 240_000);
	afterAll(() => {
		server?.stop();
		rig.stop();
	}, 60_000);

	const offsite = (over: Record<string, unknown> = {}) => ({
		bucket,
		region,
		prefix: "persistent-stack",
		endpoint: server.endpoint,
		forcePathStyle: true,
		retentionDays: 90,
		credentials: { source: "file", file: "/run/secrets/offsite_credentials" },
		attempts: 3,
		pauseSeconds: 0.1,
		...over,
	});
	function writeKey({ accessKeyId, secretAccessKey }: typeof keys): void {
		writeFileSync(
			join(rig.directory, "secrets", "offsite_credentials"),
			`[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
			{ mode: 0o600 },
		);
	}
	const answer = (...args: string[]) => {
		const { code, stdout, stderr } = rig.agent([...args, "--json"]);
		if (code !== 0) throw new Error(stderr);
		return JSON.parse(stdout);
	};
	const copies = (): string[] =>
		answer("list", "--offsite").copies.map(({ file, good }: { file: string; good: boolean }) => good && file);

	test("a backup goes to the bucket, and status tells of it", () => {
		const made = answer("backup");
		expect(made.offsite).toMatchObject({ outcome: "success", uploaded: [made.file], waiting: [] });
		expect(copies()).toEqual([made.file]);
		expect(answer("status").offsite).toMatchObject({
			ok: true,
			destination: `s3://${bucket}/persistent-stack/test`,
			copies: 1,
			newest: { file: made.file },
		});
		expect(answer("verify", "--offsite")).toMatchObject([{ file: made.file, ok: true }]);
	}, 60_000);

	test("where the bucket fails the local backup is good, the run degraded, and the next upload brings both", () => {
		writeKey({ ...keys, secretAccessKey: "wrong" });
		const run1 = rig.agent(["backup", "--json"]);
		expect(run1.code).toBe(0);
		expect(run1.stderr).toMatch(/not everything is offsite: the secret key does not belong.*backup push/);
		const first = JSON.parse(run1.stdout);
		expect(first).toMatchObject({ verified: { ok: true }, offsite: { outcome: "failed" } });
		const second = rig.backup();
		expect(run("sh", ["-c", `cat ${rig.backups}/.test.offsite.json`]).stdout).not.toContain("secret of");
		const status = rig.agent(["status", "--json"]);
		expect(JSON.parse(status.stdout).offsite).toMatchObject({
			ok: false,
			lastPush: { outcome: "failed", failure: "credentials", waiting: [second, first.file] },
		});
		expect(rig.agent(["push"]).code).toBe(4);
		writeKey(keys);
		expect(answer("push").uploaded).toEqual([second, first.file]);
		expect(copies()).toHaveLength(3);
	}, 90_000);

	test("a clean host fetches the newest copy, and its content is good", () => {
		const [newest] = copies().slice(-1) as [string];
		const before = rig.index(newest);
		for (const name of rig.files()) rmSync(join(rig.backups, name));
		rmSync(join(rig.backups, ".test.offsite.json"));
		expect(answer("fetch", "--latest")).toMatchObject({
			file: newest,
			sha256: before.sha256,
			wasHere: false,
		});
		expect(answer("verify", newest)).toMatchObject([{ file: newest, ok: true, how: "content" }]);
		const key = `s3://${bucket}/persistent-stack/test/${newest}`;
		expect(answer("fetch", key)).toMatchObject({ file: newest, wasHere: true });
		expect(rig.agent(["fetch", `${key}.other`]).code).toBe(2);
	}, 60_000);

	test("the scheduler uploads at its start what is missing, and tries again by itself", async () => {
		writeKey({ ...keys, accessKeyId: "nobody" });
		const late = rig.backup();
		rig.config = { ...rig.config, offsite: offsite({ retryMinutes: [0.03] }) };
		const name = `${rig.name}-scheduler`;
		docker("run", "--detach", `--name=${name}`, ...rig.sidecarArguments(), rig.agentImage, "run");
		const record = () => JSON.parse(readFileSync(join(rig.backups, ".test.offsite.json"), "utf8"));
		try {
			await until(() => docker("logs", name) !== undefined && record().lastPush?.failure === "credentials");
			expect(record().lastPush.waiting).toEqual([late]);
			writeKey(keys);
			await until(() => record().lastPush?.outcome === "success");
			expect(record().lastPush.uploaded).toEqual([late]);
		} finally {
			docker("rm", "--force", "--volumes", name);
			rig.config = { ...rig.config, offsite: offsite() };
		}
	}, 60_000);

	test(
		"memory is bounded, however large the file",
		async () => {
			const mebibytes = isLong ? 5120 : 384;
			const file = "full_backup_20991231_000000.tar.gz";
			const path = join(rig.backups, file);
			run("sh", ["-c", `head -c ${mebibytes}M /dev/urandom > ${path} && chmod 600 ${path}`]);
			const hash = createHash("sha256");
			for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
			const about = index(file, {
				size: mebibytes * (1 << 20),
				sha256: hash.digest("hex"),
				manifest: manifest({ startedAt: new Date().toISOString() }),
			});
			writeFileSync(`${path}.json`, indexText(about));
			// The highest that the agent's memory was, looked at ten times a second.
			const script =
				"agent push --json & pid=$!; while grep -h VmHWM /proc/$pid/status; do sleep 0.1; done | sort -n -k 2 | tail -1 >&2; wait $pid";
			const limits = ["--memory=250m", "--memory-swap=250m", "--entrypoint=sh"];
			const pushed = run("docker", [
				...["run", "--rm", ...rig.sidecarArguments(limits), rig.agentImage, "-c", script],
			]);
			expect(pushed.stderr).toMatch(/VmHWM/);
			expect([pushed.code, JSON.parse(pushed.stdout).uploaded]).toEqual([0, [file]]);
			const [, peak] = /VmHWM:\s+(\d+) kB/.exec(pushed.stderr) as RegExpExecArray;
			console.log(`${mebibytes} MiB uploaded with at most ${Math.round(Number(peak) / 1024)} MiB of memory`);
			expect(Number(peak)).toBeLessThan(250 * 1000);
			rmSync(path);
			const fetched = run("docker", [
				...["run", "--rm", ...rig.sidecarArguments(["--memory=250m", "--memory-swap=250m"]), rig.agentImage],
				...["fetch", file, "--json"],
			]);
			expect([fetched.code, JSON.parse(fetched.stdout).sha256]).toEqual([0, about.sha256]);
		},
		isLong ? 900_000 : 120_000,
	);
});

async function until(condition: () => boolean): Promise<void> {
	for (const deadline = Date.now() + 40_000; !condition(); ) {
		if (Date.now() > deadline) throw new Error("waited in vain");
		await sleep(100);
	}
}
