// The stand-ins on the real engine. Not proved here: that the official images behave so too; the expected
// values are those of their documentation.
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { ensureImages, type ImageRecord } from "../../cli/setup/images.ts";
import { silentReport } from "../../cli/setup/report.ts";
import { BuildError, buildImage } from "../../images/build.ts";
import { standInTag } from "../../images/stand-in/recipes.ts";

// The first run builds the images.
jest.setTimeout(900_000);

const execute = promisify(execFile);
const prefix = `test-standin-${process.pid}`;
const labels = ["--label", "persistent-stack.test=1"];
const hardened = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "999:999"];
const socketDirectory = ["--tmpfs", "/var/run/postgresql:uid=999,gid=999,mode=2775"];
let images: ImageRecord["images"];
let folder: string;
let count = 0;

async function docker(...args: string[]): Promise<string> {
	const { stdout, stderr } = await execute("docker", args);
	return args[0] === "logs" ? stdout + stderr : stdout.trim();
}
const run = (image: string, ...command: string[]) => docker("run", "--rm", ...labels, image, ...command);
async function start(image: string, options: string[] = [], command: string[] = []): Promise<string> {
	const name = `${prefix}-${++count}`;
	await docker("run", "--detach", "--name", name, ...labels, ...options, image, ...command);
	return name;
}
async function volume(): Promise<string> {
	return docker("volume", "create", ...labels, `${prefix}-v${++count}`);
}
const sql = (name: string, query: string, ...options: string[]) =>
	docker("exec", name, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", query, ...options);
async function untilItAnswers(name: string): Promise<void> {
	for (let attempt = 0; attempt < 120; attempt++) {
		// Over TCP: the server of the first start listens on the socket only.
		if (
			await docker("exec", name, "pg_isready", "-q", "-h", "127.0.0.1").then(
				() => true,
				() => false,
			)
		)
			return;
		await pause(250);
	}
	throw new Error(`${name} does not answer:\n${await docker("logs", name)}`);
}

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), "stand-in-contracts-"));
	({ images } = await ensureImages({
		stackDirectory: folder,
		choice: "stand-in",
		report: silentReport,
		environment: {},
	}));
});
afterAll(async () => {
	const containers = (await docker("ps", "--all", "--quiet", "--filter", `name=^${prefix}-`))
		.split("\n")
		.filter(Boolean);
	for (const container of containers) await docker("rm", "--force", "--volumes", container);
	const volumes = (await docker("volume", "ls", "--quiet", "--filter", `name=${prefix}-`))
		.split("\n")
		.filter(Boolean);
	if (volumes.length > 0) await docker("volume", "rm", ...volumes);
	rmSync(folder, { recursive: true });
});

test("postgres: ids, version, LANG, paths and stop signal are those of the official image", async () => {
	expect(await run(images.postgres, "id", "postgres")).toMatch(/^uid=999\(postgres\) gid=999\(postgres\) /);
	expect(await run(images.postgres, "--version")).toMatch(/^postgres \(PostgreSQL\) 17\./);
	const tools = ["postgres", "pg_dump", "psql", "pg_isready", "pg_amcheck", "docker-entrypoint.sh"];
	expect((await run(images.postgres, "sh", "-c", `which ${tools.join(" ")}`)).split("\n")).toHaveLength(
		tools.length,
	);
	const config = JSON.parse(await docker("inspect", "--format", "{{json .Config}}", images.postgres));
	expect(config.Env).toEqual(expect.arrayContaining(["LANG=en_US.utf8", "PGDATA=/var/lib/postgresql/data"]));
	expect(config.StopSignal).toBe("SIGINT");
	expect(Object.keys(config.Volumes)).toEqual(["/var/lib/postgresql/data"]);
	expect(config.Labels["persistent-stack.stand-in"]).toBe("postgres");
});

test("postgres: as 999:999 without any capability it makes a UTF8 database, asks for the password over TCP, runs init files and stops cleanly", async () => {
	writeFileSync(join(folder, "password"), "geheim\n");
	writeFileSync(join(folder, "init.sql"), "CREATE TABLE made_by_init (id int);\n");
	const files = [
		join(folder, "password:/run/password:ro"),
		join(folder, "init.sql:/docker-entrypoint-initdb.d/1.sql:ro"),
	];
	const data = await volume();
	const name = await start(images.postgres, [
		...hardened,
		...socketDirectory,
		...["-e", "POSTGRES_PASSWORD_FILE=/run/password", "-e", "POSTGRES_DB=backend_db"],
		...["-v", `${data}:/var/lib/postgresql/data`],
		...files.flatMap((file) => ["-v", file]),
	]);
	await untilItAnswers(name);
	const locale =
		"SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'backend_db'";
	expect(await sql(name, locale)).toBe("UTF8|en_US.utf8");
	expect(await sql(name, "SELECT count(*) FROM made_by_init", "-d", "backend_db")).toBe("0");
	const address = await docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name);
	const connect = (password: string) =>
		docker(
			"exec",
			"-e",
			`PGPASSWORD=${password}`,
			name,
			"psql",
			"-h",
			address,
			"-U",
			"postgres",
			"-Atc",
			"SELECT 1",
		);
	expect(await connect("geheim")).toBe("1");
	await expect(connect("wrong")).rejects.toThrow(/password authentication failed/);
	await docker("stop", name);
	expect(await docker("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("0");
	expect(await docker("logs", name)).toMatch(/database system is shut down\s*$/);
});

test("postgres: without a password nothing is made, and the message says what to set", async () => {
	await expect(run(images.postgres)).rejects.toThrow(/Set POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE/);
});

test("postgres: a directory with files but no database is refused and left as it is", async () => {
	const data = await volume();
	const mount = ["-v", `${data}:/var/lib/postgresql/data`];
	await docker(
		"run",
		"--rm",
		...labels,
		...mount,
		images.postgres,
		"sh",
		"-c",
		"echo precious > $PGDATA/file",
	);
	const attempt = docker("run", "--rm", ...labels, ...mount, "-e", "POSTGRES_PASSWORD=x", images.postgres);
	await expect(attempt).rejects.toThrow(/not empty and holds no database/);
	const look = ["sh", "-c", "ls -A $PGDATA; cat $PGDATA/file"];
	expect(await docker("run", "--rm", ...labels, ...mount, images.postgres, ...look)).toBe("file\nprecious");
});

test("postgres: a first start that is killed at any moment is made good by the next one", async () => {
	for (const delay of [100, 350, 600, 850, 1100, 1400]) {
		const mount = [
			"-v",
			`${await volume()}:/var/lib/postgresql/data`,
			"-e",
			"POSTGRES_PASSWORD=x",
			"-e",
			"POSTGRES_DB=d",
		];
		const name = await start(images.postgres, [...hardened, ...socketDirectory, ...mount]);
		await pause(delay);
		await docker("kill", name);
		await docker("start", name);
		await untilItAnswers(name);
		expect(await sql(name, "SELECT current_database()", "-d", "d")).toBe("d");
		expect(await docker("exec", name, "sh", "-c", "ls -A $PGDATA | grep first-init || true")).toBe("");
		await docker("rm", "--force", "--volumes", name);
	}
});

test("redis: ids, version, directory, and a server that other containers reach and that is not root", async () => {
	expect(await run(images.redis, "id", "redis")).toBe("uid=999(redis) gid=999(redis) groups=999(redis)");
	expect(await run(images.redis, "redis-server", "--version")).toMatch(/^Redis server v=8\./);
	await run(images.redis, "sh", "-c", "command -v redis-check-rdb && command -v redis-check-aof");
	const name = await start(images.redis, [], ["--appendonly", "yes"]);
	await pause(1000);
	const address = await docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name);
	expect(await run(images.redis, "redis-cli", "-h", address, "ping")).toBe("PONG");
	expect(await docker("exec", name, "sh", "-c", "grep ^Uid /proc/1/status; pwd; ls")).toMatch(
		/Uid:\t999\t[\s\S]*\/data\nappendonlydir/,
	);
});

test("redis: as 999:999 without any capability it writes its data", async () => {
	const name = await start(
		images.redis,
		[...hardened, "--read-only", "-v", `${await volume()}:/data`],
		["--requirepass", "x"],
	);
	await pause(1000);
	expect(await docker("exec", name, "redis-cli", "-a", "x", "--no-auth-warning", "save")).toBe("OK");
});

test("nginx: ids, logs, page, and a graceful stop", async () => {
	expect(await run(images.nginx, "id", "nginx")).toBe("uid=101(nginx) gid=101(nginx) groups=101(nginx)");
	expect(await docker("inspect", "--format", "{{.Config.StopSignal}}", images.nginx)).toBe("SIGQUIT");
	const name = await start(images.nginx);
	await pause(700);
	expect(
		await docker("exec", name, "curl", "-fsS", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1/"),
	).toBe("200");
	expect(await docker("exec", name, "readlink", "/var/log/nginx/access.log")).toBe("/dev/stdout");
	await docker("stop", name);
	expect(await docker("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("0");
	expect(await docker("logs", name)).toContain('"GET / HTTP/1.1" 200');
});

test("python: 3.13 under both names, with pip, virtual environments and certificates", async () => {
	const checks = [
		"python --version",
		"python3 --version",
		"python -m venv /tmp/v",
		"/tmp/v/bin/pip --version",
		"pip --version",
		"ls /etc/ssl/certs/ca-certificates.crt",
		"echo $LANG",
	];
	const lines = (await run(images.python, "sh", "-ec", checks.join("; "))).split("\n");
	expect(lines).toEqual([
		...[/^Python 3\.13\./, /^Python 3\.13\./, /^pip /, /^pip /, /ca-certificates/, /^C\.UTF-8$/].map((line) =>
			expect.stringMatching(line),
		),
	]);
});

test("node: 24 and npm in /usr/local/bin, user node 1000, and an entrypoint that takes scripts", async () => {
	expect(await run(images.node, "sh", "-c", "node --version; which node npm; id node")).toMatch(
		/^v24\.[0-9.]+\n\/usr\/local\/bin\/node\n\/usr\/local\/bin\/npm\nuid=1000\(node\) gid=1000\(node\)/,
	);
	expect(await run(images.node, "npm", "--version")).toMatch(/^11\./);
	expect(await run(images.node, "-e", "console.log(6 * 7)")).toBe("42");
});

test("a build that fails tells the last lines of its log and keeps the tag as it was", async () => {
	const tag = `${prefix}:1`;
	writeFileSync(
		join(folder, "Dockerfile"),
		`FROM ${standInTag("base")}\nRUN echo the reason is 4711 >&2; exit 3\n`,
	);
	const error = await buildImage({ context: folder, tag }).catch((error: unknown) => error);
	expect(error).toBeInstanceOf(BuildError);
	expect((error as BuildError).message).toMatch(/exit code: 3[\s\S]*\n {4}the reason is 4711/);
	await expect(docker("inspect", tag)).rejects.toThrow(/No such object/);
});

test("once everything is there, ensuring the images again takes less than 0.2 s", async () => {
	const started = performance.now();
	await ensureImages({ stackDirectory: folder, report: silentReport, environment: {} });
	expect(performance.now() - started).toBeLessThan(200);
});
