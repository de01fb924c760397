/**
 * S3 servers for the tests, of two kinds that have nothing in common: moto (Python), which knows the API of
 * buckets widely and keeps few checksums, and Versity's gateway (Go), which checks signatures, clocks and
 * checksums as S3 does. Each is installed once for this machine, from its own registry.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { acquireLock, LockedError } from "../../recovery/lock.ts";

const execute = promisify(execFile);
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "persistent-stack", "test-tools");

export const region = "us-east-1";
export const keys = { accessKeyId: "writer", secretAccessKey: "a secret of the tests" };

interface Kind {
	readonly name: string;
	readonly version: string;
	/** Program in the directory that it is installed into. */
	readonly program: string;
	readonly install: (directory: string) => Promise<unknown>;
	readonly start: (program: string, address: string, data: string) => ChildProcess;
}

const moto: Kind = {
	name: "moto",
	version: "5.2.5",
	program: "bin/moto_server",
	install: async (directory) => {
		await execute("python3", ["-m", "venv", directory]);
		await execute(join(directory, "bin", "pip"), ["install", "--quiet", `moto[server]==${moto.version}`]);
	},
	start: (program, address) => {
		const [host = "", port = ""] = address.split(":");
		return spawn(program, ["--host", host, "--port", port], { stdio: "ignore" });
	},
};

const versity: Kind = {
	name: "versitygw",
	version: "1.8.0",
	program: "versitygw",
	install: async (directory) => {
		const go = existsSync("/usr/local/go/bin/go") ? "/usr/local/go/bin/go" : "go";
		const source = `github.com/versity/versitygw/cmd/versitygw@v${versity.version}`;
		await execute(go, ["install", source], { env: { ...process.env, GOBIN: directory } });
	},
	start: (program, address, data) =>
		spawn(
			program,
			[
				"--port",
				address,
				"--region",
				region,
				"--quiet",
				"posix",
				"--sidecar",
				join(data, "meta"),
				join(data, "objects"),
			],
			{
				stdio: "ignore",
				env: { ...process.env, ROOT_ACCESS_KEY: keys.accessKeyId, ROOT_SECRET_KEY: keys.secretAccessKey },
			},
		),
};

export const kinds = { moto, versity };

/** The program of a server; undefined, with a word about it, where its registry or its language is not to be had. */
export async function installed(kind: Kind): Promise<string | undefined> {
	const directory = join(cache, `${kind.name}-${kind.version}`);
	const complete = join(directory, ".complete");
	const program = join(directory, kind.program);
	if (existsSync(complete)) return program;
	mkdirSync(cache, { recursive: true });
	const lock = await waitForLock(join(cache, `.${kind.name}.lock`));
	try {
		if (existsSync(complete)) return program;
		mkdirSync(directory, { recursive: true });
		await kind.install(directory);
		writeFileSync(complete, "");
		return program;
	} catch (error) {
		rmSync(directory, { recursive: true, force: true });
		console.warn(`${kind.name} cannot be installed, so its tests are skipped: ${(error as Error).message}`);
		return undefined;
	} finally {
		lock.release();
	}
}

export interface S3Server {
	readonly name: string;
	readonly host: string;
	readonly port: number;
	readonly endpoint: string;
	/** A client with every right. */
	readonly client: S3Client;
	createBucket(name: string): Promise<void>;
	stop(): Promise<void>;
}

/** Starts one with nothing in it. */
export async function startServer(kind: Kind, program: string, host = "127.0.0.1"): Promise<S3Server> {
	const data = mkdtempSync(join(tmpdir(), "s3test-"));
	for (const folder of ["meta", "objects"]) mkdirSync(join(data, folder));
	const port = await freePort(host);
	const child = kind.start(program, `${host}:${port}`, data);
	const endpoint = `http://${host}:${port}`;
	const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
	for (const deadline = Date.now() + 60_000; ; ) {
		// Any answer, whatever it says.
		const answers = await fetch(endpoint).then(
			() => true,
			() => false,
		);
		if (answers) break;
		if (child.exitCode !== null || Date.now() > deadline) {
			child.kill();
			throw new Error(`${kind.name} did not start at ${endpoint}`);
		}
		await sleep(100);
	}
	const client = new S3Client({ region, endpoint, forcePathStyle: true, credentials: keys });
	return {
		name: kind.name,
		host,
		port,
		endpoint,
		client,
		createBucket: async (name) => {
			await client.send(new CreateBucketCommand({ Bucket: name }));
		},
		stop: async () => {
			client.destroy();
			child.kill();
			await ended;
			rmSync(data, { recursive: true, force: true });
		},
	};
}

async function waitForLock(file: string) {
	for (;;) {
		try {
			return acquireLock(file, "installation of a test server");
		} catch (error) {
			if (!(error instanceof LockedError)) throw error;
			await sleep(500);
		}
	}
}

export async function freePort(host = "127.0.0.1"): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, host, resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	if (address === null || typeof address === "string") throw new Error("no port");
	return address.port;
}
