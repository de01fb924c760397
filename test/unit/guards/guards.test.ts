/** The program's own guards, over fabricated hosts: each refusal names the object and the mend. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { DockerHost, FoundContainer, FoundVolume } from "../../../components/docker-host.ts";
import { engineInUse, handoverFile, handoverVariable } from "../../../components/engine-in-use.ts";
import {
	GuardError,
	guardContainers,
	guardEngine,
	guardLock,
	guardNode,
	guardPlaceholders,
	guardPort,
	guardPorts,
	guardRestore,
	guardVolumes,
} from "../../../components/guards.ts";
import { adoptedVolumes } from "../../../components/offsite-policy.ts";
import { parseSettings } from "../../../components/settings.ts";
import { acquireLock, LockedError, lockFile } from "../../../recovery/lock.ts";
import {
	type RestoreJournal,
	restoreJournalFile,
	writeRestoreJournal,
} from "../../../recovery/restore-journal.ts";

const identity = { stack: "dev", prefix: "app" };
const ours = "persistent-stack/dev";
const theirs = "persistent-stack/other";

function host(parts: { volumes?: FoundVolume[]; containers?: Partial<FoundContainer>[] } = {}): DockerHost {
	return {
		platform: "linux/amd64",
		volumes: parts.volumes ?? [],
		containers: (parts.containers ?? []).map((container) => ({
			name: "somebody",
			owner: "",
			running: true,
			mounts: [],
			ports: "",
			...container,
		})),
	};
}

const volume = (name: string, owner = "", key = ""): FoundVolume => ({ name, owner, key });

let directory: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "guard-test-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("Node", () => {
	test.each(["24.0.0", "24.21.0", "25.1.0", "100.0.0"])("%s is new enough", (version) => {
		expect(() => guardNode(version)).not.toThrow();
	});

	test.each(["23.11.0", "20.0.0", "18.19.1", "2.4.0"])(
		"%s is refused, with the way to a newer one",
		(version) => {
			expect(() => guardNode(version)).toThrow(GuardError);
			expect(() => guardNode(version)).toThrow(
				`Node ${version} is too old: this program needs Node 24 or newer. Run it as ./docker-dev.sh up`,
			);
		},
	);
});

describe("an unfinished restore", () => {
	const journal: RestoreJournal = {
		formatVersion: 1,
		id: "0123abcd",
		stack: "dev",
		archive: "full_backup_20260101_000000.tar.gz",
		source: "--latest",
		startedAt: "2026-01-01T00:00:00.000Z",
		phase: "swapping",
		targets: ["database"],
		redis: "keep",
		services: [],
	};

	test("stops the program, naming its file and the way out; that of another stack does not", async () => {
		await expect(guardRestore(directory, "dev")).resolves.toBeUndefined();
		await writeRestoreJournal(directory, journal);
		await expect(guardRestore(directory, "prod")).resolves.toBeUndefined();
		await expect(guardRestore(directory, "dev")).rejects.toThrow(GuardError);
		await expect(guardRestore(directory, "dev")).rejects.toThrow(
			/full_backup_20260101_000000\.tar\.gz.*\(swapping\); nothing was changed.*docker-dev\.sh start/,
		);
	});

	test("whose journal cannot be read stops it too: what has to be done is not known", async () => {
		writeFileSync(restoreJournalFile(directory, "dev"), "{");
		await expect(guardRestore(directory, "dev")).rejects.toThrow(/cannot be read/);
	});
});

describe("the lock", () => {
	test("that nobody holds stops nobody", () => {
		expect(() => guardLock(directory, "dev", undefined)).not.toThrow();
	});

	test("that another holds stops the program, naming what is under way", () => {
		const lock = acquireLock(lockFile(directory, "dev"), "restore");
		expect(() => guardLock(directory, "dev", undefined)).toThrow(LockedError);
		expect(() => guardLock(directory, "dev", "another token")).toThrow(/"restore" on this stack since/);
		lock.release();
	});

	test("of the command that started the program does not stop it", () => {
		const lock = acquireLock(lockFile(directory, "dev"), "up");
		expect(() => guardLock(directory, "dev", lock.token)).not.toThrow();
		lock.release();
	});

	test("of another stack is no concern of this one", () => {
		const lock = acquireLock(lockFile(directory, "prod"), "up");
		expect(() => guardLock(directory, "dev", undefined)).not.toThrow();
		lock.release();
	});
});

describe("the engine", () => {
	const record = (engine: string) => {
		mkdirSync(join(directory, "s"), { recursive: true });
		writeFileSync(join(directory, "s", "applied-by"), `${engine}\n`);
		return { state: join(directory, "s") };
	};

	test("may be any for a stack that nobody has applied", () => {
		expect(() => guardEngine("dev", { state: join(directory, "none") }, "pulumi")).not.toThrow();
		expect(() => guardEngine("dev", { state: join(directory, "none") }, "local")).not.toThrow();
	});

	test.each(["local", "pulumi"] as const)("%s goes on with what it applied itself", (engine) => {
		expect(() => guardEngine("dev", record(engine), engine)).not.toThrow();
	});

	test.each([
		["local", "pulumi"],
		["pulumi", "local"],
	] as const)("after %s refuses %s, with the command to go on", (applied, other) => {
		expect(() => guardEngine("dev", record(applied), other)).toThrow(GuardError);
		expect(() => guardEngine("dev", record(applied), other)).toThrow(
			new RegExp(
				`stack dev was last applied by the ${applied} engine.*nothing was changed.*--engine ${applied} up.*-s dev handover --to ${other}`,
			),
		);
	});

	test("neither goes on after a handover that was killed, but the handover's own preview", () => {
		const directories = record("local");
		writeFileSync(handoverFile(directories.state), "{}");
		for (const engine of ["local", "pulumi"] as const) {
			expect(() => guardEngine("dev", directories, engine)).toThrow(
				/nothing was changed.*\.\/docker-dev\.sh -s dev handover$/,
			);
		}
		process.env[handoverVariable] = "1";
		expect(() => guardEngine("dev", directories, "pulumi")).not.toThrow();
		delete process.env[handoverVariable];
	});

	test("is pulumi unless the local one has made itself known", () => {
		const before = process.env.PERSISTENT_STACK_ENGINE;
		delete process.env.PERSISTENT_STACK_ENGINE;
		expect(engineInUse()).toBe("pulumi");
		process.env.PERSISTENT_STACK_ENGINE = "local";
		expect(engineInUse()).toBe("local");
		if (before === undefined) delete process.env.PERSISTENT_STACK_ENGINE;
		else process.env.PERSISTENT_STACK_ENGINE = before;
	});
});

describe("volumes", () => {
	const guard = (parts: Parameters<typeof host>[0], adopt: string[] = []) =>
		guardVolumes(identity, adopt, host(parts));

	test("that do not exist are all to be made", () => {
		expect(guard({ volumes: [volume("unrelated"), volume("other-postgres-data")] })).toEqual({});
	});

	test("of this stack are found by label, also under a name of an earlier prefix", () => {
		expect(
			guard({
				volumes: [
					volume("app-postgres-data", ours, "postgres-data"),
					volume("old-redis-data", ours, "redis-data"),
				],
			}),
		).toEqual({ "postgres-data": "app-postgres-data", "redis-data": "old-redis-data" });
	});

	test("of an unknown maker under a name of this stack are refused: Docker would mount a stranger's data", () => {
		const volumes = [volume("app-postgres-data")];
		expect(() => guard({ volumes })).toThrow(GuardError);
		expect(() => guard({ volumes })).toThrow(
			"volume app-postgres-data exists and was not made by this stack; its data would be taken over, so nothing was changed. To take it over on purpose, add it to adopt in Pulumi.dev.yaml; otherwise choose another prefix there.",
		);
	});

	test("of another stack are refused, and it is named", () => {
		const volumes = [volume("app-redis-data", theirs, "redis-data")];
		expect(() => guard({ volumes })).toThrow(
			/^volume app-redis-data exists and belongs to stack persistent-stack\/other;/,
		);
	});

	test("labelled with another key are not taken for this one", () => {
		const volumes = [volume("app-redis-data", ours, "postgres-data")];
		expect(() => guard({ volumes })).toThrow(/app-redis-data/);
	});

	test("that the settings adopt are taken over, by name or by a name that compose made longer", () => {
		expect(
			guard({ volumes: [volume("app-postgres-data"), volume("shop_app-redis-data")] }, [
				"app-postgres-data",
				"shop_app-redis-data",
			]),
		).toEqual({ "postgres-data": "app-postgres-data", "redis-data": "shop_app-redis-data" });
	});

	test("that are adopted do not open the door to the others", () => {
		const volumes = [volume("app-postgres-data"), volume("app-redis-data")];
		expect(() => guard({ volumes }, ["app-postgres-data"])).toThrow(/volume app-redis-data exists/);
	});

	test("whose name merely ends alike are not adopted as something else", () => {
		expect(guard({ volumes: [volume("mypostgres-data")] }, ["mypostgres-data"])).toEqual({});
	});

	test("that the settings adopt and the host lacks are refused: it may be a misspelling", () => {
		expect(() => guard({}, ["app-postgres-dta"])).toThrow(
			/^adopt names app-postgres-dta, and there is no such volume.*docker volume ls/,
		);
	});

	test("that both say they are the same one are refused, unless one has the right name", () => {
		const volumes = [
			volume("a-postgres-data", ours, "postgres-data"),
			volume("b-postgres-data", ours, "postgres-data"),
		];
		expect(() => guard({ volumes })).toThrow(
			/a-postgres-data and b-postgres-data both say that they are postgres-data of stack dev/,
		);
		const withRightName = [...volumes, volume("app-postgres-data", ours, "postgres-data")];
		expect(guard({ volumes: withRightName })).toEqual({ "postgres-data": "app-postgres-data" });
	});

	test("on which a stranger's container is running are refused: two servers would destroy the files", () => {
		const parts = {
			volumes: [volume("app-postgres-data")],
			containers: [{ name: "old-db", mounts: ["app-postgres-data"] }],
		};
		expect(() => guard(parts, ["app-postgres-data"])).toThrow(
			/^container old-db, which is not of this stack, is running on volume app-postgres-data;.*docker stop old-db$/,
		);
	});

	test("on which a stranger's container is stopped, or this stack's own is running, are fine", () => {
		const volumes = [volume("app-postgres-data", ours, "postgres-data")];
		const mounts = ["app-postgres-data"];
		expect(guard({ volumes, containers: [{ mounts, running: false }] })).toHaveProperty("postgres-data");
		expect(guard({ volumes, containers: [{ mounts, owner: ours }] })).toHaveProperty("postgres-data");
	});
});

describe("containers", () => {
	test("of this stack, and of names that it does not use, are fine", () => {
		const containers = [{ name: "app-db", owner: ours }, { name: "app-other" }, { name: "db" }];
		expect(() => guardContainers(identity, host({ containers }))).not.toThrow();
	});

	test.each(["db", "redis", "backend", "frontend", "proxy"])(
		"of a stranger under the name of %s are refused, running or not",
		(service) => {
			for (const running of [true, false]) {
				const containers = [{ name: `app-${service}`, running }];
				expect(() => guardContainers(identity, host({ containers }))).toThrow(
					`container app-${service} exists and is not of stack dev; nothing was changed. Remove or rename it (docker rename app-${service} NEW-NAME), or choose another prefix in Pulumi.dev.yaml.`,
				);
			}
		},
	);

	test("of another stack are refused too", () => {
		const containers = [{ name: "app-db", owner: theirs }];
		expect(() => guardContainers(identity, host({ containers }))).toThrow(GuardError);
	});
});

describe("the port", () => {
	let server: Server;
	let taken: number;
	let dockerHost: string | undefined;
	beforeEach(async () => {
		dockerHost = process.env.DOCKER_HOST;
		delete process.env.DOCKER_HOST;
		server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		taken = (server.address() as AddressInfo).port;
	});
	afterEach(async () => {
		if (dockerHost !== undefined) process.env.DOCKER_HOST = dockerHost;
		else delete process.env.DOCKER_HOST;
		await new Promise((resolve) => server.close(resolve));
	});
	const guard = (port: number, containers: Partial<FoundContainer>[] = []) =>
		guardPort(identity, { bindAddress: "127.0.0.1", port }, host({ containers }));

	test("that another program listens at is refused, and the setting to change is named", async () => {
		await expect(guard(taken)).rejects.toThrow(
			`port ${taken} at 127.0.0.1 is taken by another program on this host; nothing was changed. Stop it, or set another port in Pulumi.dev.yaml.`,
		);
	});

	test("of the metrics is checked where there is one, and named by its own setting", async () => {
		const settings = { bindAddress: "127.0.0.1", port: 0, metricsPort: taken };
		await expect(guardPorts(identity, settings, host({}))).rejects.toThrow(
			`port ${taken} at 127.0.0.1 is taken by another program on this host; nothing was changed. Stop it, or set another metricsPort in Pulumi.dev.yaml.`,
		);
		await guardPorts(identity, { ...settings, metricsPort: 0 }, host({}));
	});

	test("that is free is accepted, and left free", async () => {
		await new Promise((resolve) => server.close(resolve));
		await guard(taken);
		await guard(taken);
		server = createServer();
		await new Promise<void>((resolve) => server.listen(taken, "127.0.0.1", resolve));
	});

	test("that another's container publishes is refused, and the container is named", async () => {
		const containers = [{ name: "web", ports: `127.0.0.1:${taken}->80/tcp` }];
		await expect(guard(taken, containers)).rejects.toThrow(/is taken by container web;/);
	});

	test("that this stack's own proxy publishes is accepted, although something listens there", async () => {
		await guard(taken, [{ name: "app-proxy", owner: ours, ports: `127.0.0.1:${taken}->8080/tcp` }]);
	});

	test("that only ends like a published one is not taken for it", async () => {
		await expect(guard(taken, [{ owner: ours, ports: `127.0.0.1:1${taken}->80/tcp` }])).rejects.toThrow(
			GuardError,
		);
	});

	test("of a Docker host elsewhere cannot be tried from here and is left to Docker", async () => {
		process.env.DOCKER_HOST = "ssh://root@elsewhere";
		await guard(taken);
	});
});

describe("an offsite bucket", () => {
	const settings = (changes: Readonly<Record<string, string>> = {}) =>
		parseSettings(
			"prod",
			Object.fromEntries(
				Object.entries({
					offsite: "true",
					offsiteBucket: "shop-backups",
					offsiteRegion: "eu-central-1",
					offsiteRetentionDays: "90",
					...changes,
				}).map(([key, value]) => [`persistent-stack:${key}`, value]),
			),
		);
	const replica = { offsiteReplicaBucket: "shop-replica", offsiteReplicaRegion: "eu-west-1" };

	test("of a name of one's own is made", () => {
		expect(() => guardPlaceholders("prod", settings(replica))).not.toThrow();
		expect(() => guardPlaceholders("prod", settings({ offsiteBucket: "shop-example-1" }))).not.toThrow();
	});

	test("is not made under the name of an example", () => {
		expect(() => guardPlaceholders("prod", settings({ offsiteBucket: "example-shop" }))).toThrow(
			new GuardError(
				"offsiteBucket example-shop is a placeholder, good for previews only; nothing was changed. Names of buckets are taken worldwide: write one of your own in Pulumi.prod.yaml.",
			),
		);
		expect(() =>
			guardPlaceholders("prod", settings({ ...replica, offsiteReplicaBucket: "example-replica" })),
		).toThrow(/^offsiteReplicaBucket example-replica/);
	});

	test("at another service is somebody else's to name, and one that is off is not made at all", () => {
		const elsewhere = { offsiteEndpoint: "https://s3.example.com", offsiteCredentials: "profile" };
		for (const changes of [elsewhere, { offsite: "false", offsiteRetentionDays: "0" }]) {
			expect(() =>
				guardPlaceholders("prod", settings({ offsiteBucket: "example-shop", ...changes })),
			).not.toThrow();
		}
	});

	test("that adopt names is not looked for among the volumes of the host", () => {
		const adopt = '["shop-backups","shop_app-postgres-data","shop-replica"]';
		expect(adoptedVolumes(settings({ ...replica, adopt }))).toEqual(["shop_app-postgres-data"]);
	});
});
