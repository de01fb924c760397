/**
 * The specification's table of data protection guarantees: seven operations, five kinds of data. Each cell is
 * checked by content, after the stack is up again; that a volume exists proves nothing.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type VolumeKey, volumeCatalogue } from "../../components/catalogue.ts";
import { docker, dockerLines, removeContainers } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// A whole stack is brought up again after each operation.
jest.setTimeout(300_000);

let stack: TestStack;

beforeAll(async () => {
	stack = await TestStack.create();
	await stack.run(["up"]);
});

afterAll(() => stack?.cleanUp());

/** What each kind of data is kept in, how a proof is put there, and how it is found again. */
interface Kind {
	readonly volume: VolumeKey;
	readonly put: () => unknown;
	/** The proof, or nothing of it. */
	readonly find: () => string;
	readonly proof: string;
}

const redis = (command: string) =>
	stack.inService("redis", `REDISCLI_AUTH=$(cat /run/secrets/redis_password) redis-cli ${command}`);
const file = (path: string): Pick<Kind, "put" | "find" | "proof"> => ({
	put: () => stack.inService("backend", `mkdir -p "$(dirname ${path})"; echo proof-of-a-file > ${path}`),
	find: () => stack.inService("backend", `cat ${path} 2>/dev/null || true`),
	proof: "proof-of-a-file",
});

const md5 = (text: string) => createHash("md5").update(text).digest("hex");
const rows = Array.from({ length: 2000 }, (_, index) => index + 1);

const kinds = {
	database: {
		volume: "postgres-data",
		put: () =>
			stack.sql("create table proof as select i, md5(i::text) as hash from generate_series(1, 2000) i"),
		find: () =>
			stack.sql("select to_regclass('proof')") &&
			stack.sql("select count(*) || md5(string_agg(hash, '' order by i)) from proof"),
		proof: `${rows.length}${md5(rows.map((row) => md5(String(row))).join(""))}`,
	},
	media: { volume: "backend-media", ...file("/app/media/proof/file.txt") },
	static: { volume: "backend-static", ...file("/app/staticfiles/proof.txt") },
	cache: {
		volume: "redis-data",
		put: () => redis("set proof kept"),
		find: () => redis("get proof"),
		proof: "kept",
	},
	logs: {
		volume: "proxy-logs",
		put: () => stack.inService("proxy", "echo proof-in-a-log >> /var/log/nginx/access.log"),
		find: () => stack.inService("proxy", "grep -h proof-in-a-log /var/log/nginx/access.log || true"),
		proof: "proof-in-a-log",
	},
} satisfies Record<string, Kind>;
type KindName = keyof typeof kinds;
const kindNames = Object.keys(kinds) as KindName[];

interface Operation {
	/** Row of the specification's table. */
	readonly row: string;
	/** What the specification says of each kind, where it is not preserved. */
	readonly removed: readonly KindName[];
	readonly perform: () => Promise<unknown>;
	/** The verb that brings the stack back, so that its services can be asked; none where they run, or all is gone. */
	readonly back?: "start" | "up";
	/** Whether the backend's log files go, which lie in a directory of the host and in no volume. @default false */
	readonly emptiesLogs?: boolean;
}

const clean = (verb: string, ...options: string[]) => ({
	row: `./docker-dev.sh ${verb}`,
	perform: () => stack.run([verb, ...options]),
});

const operations: readonly Operation[] = [
	{
		row: "docker compose down",
		removed: [],
		perform: async () => {
			for (const id of stack.containerIds()) docker("stop", id);
			removeContainers(stack.containerIds());
			docker("network", "rm", ...["edge", "data"].map((network) => `${stack.name}-${network}`));
		},
		back: "start",
	},
	{
		row: "docker compose up --build",
		removed: [],
		perform: async () => {
			const source = join(stack.directory, "app/backend/config/urls.py");
			writeFileSync(source, `${readFileSync(source, "utf8")}\n# changed\n`);
			const before = docker("inspect", "--format", "{{.Image}}", `${stack.name}-backend`);
			await stack.run(["rebuild"]);
			expect(docker("inspect", "--format", "{{.Image}}", `${stack.name}-backend`)).not.toBe(before);
		},
	},
	{ ...clean("clean"), removed: [], back: "start" },
	{ ...clean("clean-logs", "--yes"), removed: cleanedBy("clean-logs"), back: "start", emptiesLogs: true },
	{ ...clean("clean-cache", "--yes"), removed: cleanedBy("clean-cache"), back: "start" },
	{
		...clean("clean-all", "--confirm", "DELETE EVERYTHING"),
		removed: kindNames,
		back: "up",
		emptiesLogs: true,
	},
	// removalPolicy is remove.
	{
		row: "docker compose down -v",
		removed: kindNames,
		perform: () => stack.run(["destroy", "--yes"]),
	},
];

/** The kinds whose volume the catalogue gives to the verb. */
function cleanedBy(verb: string): KindName[] {
	const keys = volumeCatalogue.filter((entry) => "cleanedBy" in entry && entry.cleanedBy === verb);
	return kindNames.filter((name) => keys.some(({ key }) => key === kinds[name].volume));
}

test("the catalogue says what the specification's table says", () => {
	expect({ logs: cleanedBy("clean-logs"), cache: cleanedBy("clean-cache") }).toEqual({
		logs: ["logs"],
		cache: ["cache"],
	});
	// Node packages are the one volume that the table leaves out.
	const others = volumeCatalogue.map(({ key }) => key).filter((key) => key !== "frontend-node-modules");
	expect(kindNames.map((name) => kinds[name].volume).sort()).toEqual(others.sort());
});

describe.each(operations.map((operation) => [operation.row, operation] as const))(
	"%s",
	(_row, { removed, perform, back, emptiesLogs = false }) => {
		const found = {} as Record<KindName, string>;
		const logFile = () => join(stack.directory, "backend", `logs-${stack.name}`, "proof.log");

		beforeAll(async () => {
			for (const name of kindNames) {
				if (kinds[name].find() !== kinds[name].proof) kinds[name].put();
				expect([name, kinds[name].find()]).toEqual([name, kinds[name].proof]);
			}
			writeFileSync(logFile(), "proof of a log");
			await perform();
			if (back) await stack.run([back]);
			const volumes = dockerLines("volume", "ls", "--quiet");
			for (const name of kindNames) {
				// Where there is no volume there is no content, and where all are gone nobody to be asked.
				found[name] = volumes.includes(stack.volume(kinds[name].volume)) ? kinds[name].find() : "";
			}
		});

		test.each(kindNames.map((name) => [name, removed.includes(name) ? "removed" : "preserved"] as const))(
			"%s: %s",
			(name, expected) => {
				expect(found[name]).toBe(expected === "removed" ? "" : kinds[name].proof);
			},
		);

		test("the backend's log files, which are in no volume, go with clean-logs and clean-all alone", () => {
			expect(existsSync(logFile())).toBe(!emptiesLogs);
		});

		test("the application answers, where it is not destroyed", async () => {
			const answer = await fetch(`${stack.url}/api/healthz`).catch(() => undefined);
			expect(answer?.status).toBe(removed.length === kindNames.length && !back ? undefined : 200);
		});
	},
);
