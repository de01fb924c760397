/**
 * A stack with offsite copies, on a real engine: what a preview needs, who gets a way out, what stays secret, and
 * the verbs that upload, list, verify and bring back.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { ServiceName } from "../../components/catalogue.ts";
import { S3Container } from "../offsite/s3-container.ts";
import { installed, keys, kinds } from "../offsite/s3-servers.ts";
import { docker, dockerLines, objectsOf, waitFor } from "../support/docker.ts";
import { type Content, RestoreProof } from "../support/restore-proof.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up.
jest.setTimeout(300_000);

const atAws = {
	offsite: true,
	offsiteRetentionDays: 30,
	offsiteBucket: "example-shop",
	offsiteRegion: "eu-central-1",
};

let stack: TestStack;
beforeAll(async () => {
	stack = await TestStack.create(atAws);
	await stack.recordImages();
});
afterAll(() => stack?.cleanUp());

describe("a bucket at AWS, by the local engine,", () => {
	/** Neither a network nor anybody's credentials. */
	const environment = {
		...Object.fromEntries(
			Object.keys(process.env)
				.filter((name) => name.startsWith("AWS_"))
				.map((name) => [name, ""]),
		),
		HOME: "/nonexistent",
		HTTP_PROXY: "http://127.0.0.1:9",
		HTTPS_PROXY: "http://127.0.0.1:9",
	};

	test.each(["generated", "profile", "instance"])(
		"is previewed with no credentials and no network, its own being %s",
		async (offsiteCredentials) => {
			stack.configure({ offsiteCredentials });
			const { stdout } = await stack.run(["--engine", "local", "preview", "--json"], { environment });
			const changes = (JSON.parse(stdout) as { changes: { type: string; operation: string }[] }).changes;
			expect(changes.filter(({ type }) => type === "aws:s3/bucket:Bucket")).toMatchObject([
				{ operation: "create" },
			]);
			expect(changes.some(({ type }) => type === "aws:iam/accessKey:AccessKey")).toBe(
				offsiteCredentials === "generated",
			);
		},
	);

	test("is not applied: up says what does, and makes nothing at all", async () => {
		stack.configure({ offsiteCredentials: undefined });
		const { code, stderr } = await stack.run(["--engine", "local", "up"], { environment, mayFail: true });
		expect(code).toBe(1);
		expect(stderr).toContain(`./docker-dev.sh -s ${stack.name} --engine pulumi up`);
		expect(objectsOf(stack.name)).toEqual([]);
	});
});

const program = await installed(kinds.versity);

(program ? describe : describe.skip)("a bucket at another service", () => {
	let server: S3Container;
	let proof: RestoreProof;
	/** What the first backup holds. */
	let old: Content;
	let full: string;
	let credentials: string;
	const administrator = "the-administrators-own-secret";

	beforeAll(async () => {
		server = new S3Container(program as string, stack.baseImage("postgres"));
		await server.createBucket("shop");
		credentials = join(stack.directory, "credentials");
		const profile = (name: string, id: string, secret: string) =>
			`[${name}]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;
		stack.configure({
			offsiteBucket: "shop",
			offsiteRegion: undefined,
			offsiteEndpoint: server.endpoint,
			offsitePathStyle: true,
			offsiteCredentials: "profile",
			offsiteCredentialsFile: "credentials",
			offsiteProfile: "writer",
		});
		const missing = await stack.run(["up"], { mayFail: true });
		expect([missing.code, missing.stderr]).toEqual([
			1,
			expect.stringContaining(`${credentials} cannot be read`),
		]);
		expect(objectsOf(stack.name)).toEqual([]);
		writeFileSync(
			credentials,
			profile("owner", "admin", administrator) + profile("writer", keys.accessKeyId, keys.secretAccessKey),
			{ mode: 0o600 },
		);
		await stack.run(["up"]);
		server.join(egress());
		// It has looked for the bucket at its start, and would go on looking for a while.
		docker("restart", `${stack.name}-backup`);
	});
	afterAll(() => server?.stop());

	const egress = () => `${stack.name}-egress`;

	async function json(...args: string[]) {
		return JSON.parse((await stack.run([...args, "--json"])).stdout);
	}

	async function objects(): Promise<(string | undefined)[]> {
		const { Contents = [] } = await server.client.send(new ListObjectsV2Command({ Bucket: "shop" }));
		return Contents.map(({ Key }) => Key);
	}

	const keyOf = (file: string) => `persistent-stack/${stack.name}/${file}`;

	/** As after the loss of the host: what was made here is nowhere but in the bucket. */
	function forgetBackups(): void {
		for (const name of readdirSync(proof.backups)) rmSync(join(proof.backups, name), { recursive: true });
	}

	test("takes a backup, with the profile's key", async () => {
		proof = new RestoreProof(stack);
		await proof.seed();
		old = proof.content();
		full = (await json("backup")).file;
		expect(await objects()).toEqual([keyOf(full), keyOf(`${full}.json`)]);
		const { stdout } = await stack.run(["status"]);
		expect(stdout).toMatch(
			new RegExp(
				`Offsite: 1 good copy in s3://shop/persistent-stack/${stack.name}, the newest .* old: ${full}`,
			),
		);
	});

	test("that has no key, or is away, leaves a good backup here, a red line, and work for backup push", async () => {
		const secrets = (script: string) =>
			docker("exec", "--user", "0:0", `${stack.name}-backup`, "sh", "-c", `cd /run/secrets; ${script}`);
		secrets("mv offsite_credentials aside");
		const made = await stack.run(["backup", "--json"]);
		const { file } = JSON.parse(made.stdout);
		expect(made.stderr).toMatch(/not everything is offsite: /);
		expect((await stack.run(["status"])).stdout).toMatch(
			/The last upload failed .* ago; 1 backup not there: /,
		);
		expect((await stack.run(["backup", "list"])).stdout).toContain(file);
		const failed = await stack.run(["backup", "push"], { mayFail: true });
		expect([failed.code, failed.stderr]).toEqual([4, expect.stringMatching(/^error {2}.*key for s3:/m)]);
		secrets("mv aside offsite_credentials");
		expect(await json("backup", "push")).toMatchObject({ uploaded: [file], waiting: [], copies: 2 });
		expect((await stack.run(["backup", "push"])).stdout).toContain("Nothing was missing offsite.");
	});

	test("Ctrl-C in the middle of an upload: the backup here stays, and the copy is made later", async () => {
		server.pause();
		const { child, ended } = stack.start(["backup"]);
		const newest = () => proof.archives().at(-1);
		const before = newest();
		for (const deadline = Date.now() + 60_000; newest() === before; await sleep(50))
			if (Date.now() > deadline) throw new Error("waited in vain for a backup");
		await sleep(1000);
		process.kill(-(child.pid as number), "SIGINT");
		const { code, stderr } = await ended.finally(() => server.unpause());
		expect([code, stderr]).toEqual([
			130,
			expect.stringMatching(/full_backup_\S+ is complete and stays; what is missing .* backup push/),
		]);
		const [kept = ""] = /full_backup_\S+\.tar\.gz/.exec(stderr) ?? [];
		expect((await stack.run(["backup", "verify", kept])).stdout).toContain(kept);
		expect(await objects()).toHaveLength(4);
		expect((await json("backup", "push")).uploaded).toEqual([kept]);
	});

	test("shows its copies beside those here, and reads them back", async () => {
		const { stdout } = await stack.run(["backup", "list"]);
		expect(stdout).toMatch(new RegExp(`${full} .* yes\\b`));
		expect(stdout).toContain(`3 good copies in s3://shop/persistent-stack/${stack.name}`);
		const { copies } = (await json("backup", "list")).offsite;
		expect(copies).toMatchObject([{ file: full, good: true }, { good: true }, { good: true }]);
		expect((await stack.run(["backup", "verify", "--offsite", full])).stdout).toMatch(
			new RegExp(`good +\\S+/${full}\\n`),
		);
	});

	test("gives the sidecar a way out, and nothing else that touches data", () => {
		const networks = (service: ServiceName): Record<string, { Gateway: string }> =>
			JSON.parse(
				docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", `${stack.name}-${service}`),
			);
		const data = `${stack.name}-data`;
		expect(Object.keys(networks("backup")).sort()).toEqual([data, egress()]);
		expect(Object.keys(networks("db"))).toEqual([data]);
		expect(Object.keys(networks("redis"))).toEqual([data]);
		const isInternal = (network: string) =>
			docker("network", "inspect", "--format", "{{.Internal}}", network);
		expect([isInternal(data), isInternal(egress())]).toEqual(["true", "false"]);
		// The kernel prints the bytes of an address backwards.
		const gateway = stack.inService("backup", "awk '$2 == \"00000000\" { print $3 }' /proc/net/route");
		expect([...Buffer.from(gateway, "hex").reverse()].join(".")).toBe(networks("backup")[egress()]?.Gateway);
	});

	test("changes nothing at the second preview", async () => {
		await stack.run(["preview", "--expect-no-changes"]);
	});

	test("leaves no secret in a preview, the state, logs, inspect, process arguments or beside the backups", async () => {
		const files = dockerLines("exec", `${stack.name}-backup`, "sh", "-c", "ls /run/secrets/*");
		expect(files).toContain("/run/secrets/offsite_credentials");
		const content = (service: string, file: string) =>
			docker("exec", `${stack.name}-${service}`, "cat", file);
		const secrets = new Map<string, string>([
			["the key of the service", keys.secretAccessKey],
			["the administrator's key", administrator],
			["the Django key", content("backend", "/run/secrets/django_secret_key")],
			["the database's password", content("backup", "/run/secrets/database_password")],
			["the password of Redis", content("backup", "/run/secrets/redis_password")],
		]);
		expect(content("backup", "/run/secrets/offsite_credentials")).not.toContain(administrator);
		for (const secret of secrets.values()) expect(secret.length).toBeGreaterThan(20);

		stack.configure({ backupMemoryMb: 300, offsiteProfile: "owner" });
		const { stdout, stderr } = await stack.run(["preview", "--diff"]);
		const changed = await stack.run(["preview", "--json"]);
		stack.configure({ backupMemoryMb: undefined, offsiteProfile: "writer" });
		const containers = dockerLines("ps", "--all", "--quiet", "--filter", `name=^${stack.name}-`);
		const state = join(stack.directory, ".stack", stack.name);
		const backups = join(stack.directory, "backups");
		const read = (directory: string) =>
			readdirSync(directory, { withFileTypes: true })
				.filter((entry) => entry.isFile() && !/\.tar\.gz$/.test(entry.name))
				.map((entry) => readFileSync(join(directory, entry.name), "utf8"));
		const places: Readonly<Record<string, string>> = {
			preview: stdout + stderr + changed.stdout,
			status: (await stack.run(["status", "--json"], { mayFail: true })).stdout,
			inspect: docker("inspect", ...containers),
			logs: containers.map((container) => docker("logs", container)).join("\n"),
			arguments: containers.map((container) => docker("top", container, "-o", "pid,args")).join("\n"),
			state: read(state).join("\n"),
			backups: read(backups).join("\n"),
		};
		expect(places.preview).toContain("backup");
		const leaks = Object.entries(places).flatMap(([place, text]) =>
			[...secrets].filter(([, secret]) => text.includes(secret)).map(([what]) => `${what} in ${place}`),
		);
		expect(leaks).toEqual([]);
		for (const text of Object.values(places)) expect(text.length).toBeGreaterThan(100);
	});

	test("brings the data back where the backup directory is lost", async () => {
		await proof.change();
		forgetBackups();
		const listed = await stack.run(["backup", "list"]);
		expect(listed.stdout).toContain(`offsite only: ${full}`);
		const told = await json("restore", full, "--from", "offsite", "--yes", "--no-safety-backup");
		expect(told).toMatchObject({ fromStack: stack.name, targets: ["database", "media", "static"] });
		expect(proof.content()).toEqual(old);
	});

	test("and by --latest, of which it says which one that is", async () => {
		forgetBackups();
		const { stdout } = await stack.run(["restore", "--latest", "--from", "offsite", "--dry-run"]);
		const newest = (await json("backup", "list")).offsite.copies.at(-1).file;
		expect(newest).not.toBe(full);
		expect(stdout).toContain(newest);
	});

	test("refuses a copy that was changed in the bucket, and changes nothing", async () => {
		forgetBackups();
		const Bucket = "shop";
		const Key = keyOf(full);
		const { Body } = await server.client.send(new GetObjectCommand({ Bucket, Key }));
		const good = (await Body?.transformToByteArray()) as Uint8Array;
		const bad = Uint8Array.from(good);
		bad[bad.length >> 1] = (bad[bad.length >> 1] as number) ^ 1;
		await server.client.send(new PutObjectCommand({ Bucket, Key, Body: bad }));
		const before = [proof.starts(), proof.archives()];
		const refused = await stack.run(["restore", `s3://shop/${Key}`, "--yes"], { mayFail: true });
		expect([refused.code, refused.stderr]).toEqual([7, expect.stringContaining(full)]);
		expect([proof.starts(), proof.archives()]).toEqual(before);
		const verified = await stack.run(["backup", "verify", "--offsite", "--all"], { mayFail: true });
		expect([verified.code, verified.stdout]).toEqual([7, expect.stringMatching(`DAMAGED +\\S+/${full}\n`)]);
		await server.client.send(new PutObjectCommand({ Bucket, Key, Body: good }));
	});

	test("brings everything back on a new host, which has only the settings and a reader's key", async () => {
		server.leave(egress());
		await stack.run(["destroy", "--yes"]);
		expect(objectsOf(stack.name)).toEqual([]);
		expect(await objects()).toHaveLength(6);
		forgetBackups();
		rmSync(join(stack.directory, ".stack"), { recursive: true, force: true });
		await stack.recordImages();
		const reader = join(stack.directory, "reader");
		writeFileSync(reader, readFileSync(credentials, "utf8").replaceAll("[writer]", "[default]"), {
			mode: 0o600,
		});
		// The stack's own key no longer opens the bucket, as after a loss it should not.
		writeFileSync(
			credentials,
			"[writer]\naws_access_key_id = writer\naws_secret_access_key = revoked-long-ago\n",
		);
		const from = ["--credentials", reader, "--yes", "--no-safety-backup"];
		const restoring = json("restore", `s3://shop/${keyOf(full)}`, ...from);
		// The network is made by the up that the restore begins with.
		waitFor(() => server.join(egress()));
		const told = await restoring;
		expect(told).toMatchObject({ fromStack: stack.name });
		expect(proof.content()).toMatchObject({ rows: old.rows, users: old.users, media: old.media });
		expect(await proof.signIn("before")).toBe(200);
		const left = docker("exec", `${stack.name}-backup`, "sh", "-c", "ls /tmp");
		expect(left).not.toContain("credentials");
	});

	test("is let go by a destroy, with the way out", async () => {
		rmSync(credentials);
		server.leave(egress());
		await stack.run(["destroy", "--yes"]);
		expect(objectsOf(stack.name)).toEqual([]);
		expect(await objects()).toHaveLength(6);
	});
});
