/** What several probes want to know; each is looked up once, when it is first asked for. */
import { appliedBy } from "../../components/engine-in-use.ts";
import { databaseName, databaseUser } from "../../components/identity.ts";
import type { VerbContext } from "../context.ts";
import { docker, stackContainers } from "../docker.ts";
import { failureOf } from "../failure.ts";
import { backupState } from "../recovery-points.ts";
import { findStackVolumes } from "../volumes.ts";
import { within } from "./time-limit.ts";

/** Seconds in which Docker has to answer. */
const dockerSeconds = 5;

/** What must be known before a probe can look. */
export type Need = "settings" | "docker" | "stack" | "database";

export interface DockerEngine {
	readonly engine: string;
	readonly client: string;
	/** The version of the API that the two have agreed on, as major and minor number. */
	readonly api: readonly [major: number, minor: number];
	/** Directory of its volumes and images, on the machine that it runs on. */
	readonly root: string;
	/** Seconds by which its clock is ahead of this program's. */
	readonly clockAhead: number;
}

/** Times of the database, from the files of the server. */
export interface DatabaseTimes {
	/** When the server's files were first made. */
	readonly initialised: Date;
	/** When the application's database was made, or restored. */
	readonly created: Date;
	/** Whether the C library sorts text otherwise than when the database was made. */
	readonly collationChanged: boolean;
}

export class Facts {
	readonly context: VerbContext;

	constructor(context: VerbContext) {
		this.context = context;
	}

	readonly engine = once(async (): Promise<DockerEngine> => {
		const { signal } = this.context;
		const format = "{{.Server.Version}}|{{.Client.Version}}|{{.Client.APIVersion}}";
		const asked = Date.now();
		const [version, info] = await within(
			dockerSeconds,
			Promise.all([
				docker(["version", "--format", format], signal),
				docker(["info", "--format", "{{.SystemTime}}\t{{.DockerRootDir}}"], signal),
			]),
		);
		const answered = Date.now();
		const [engine = "", client = "", api = ""] = version.trim().split("|");
		const [time = "", root = ""] = info.trim().split("\t");
		const told = new Date(time).getTime();
		// Any moment between question and answer is in time.
		const clockAhead = told > answered ? told - answered : Math.min(0, told - asked);
		const [major = 0, minor = 0] = api.split(".").map(Number);
		return { engine, client, api: [major, minor], root, clockAhead: clockAhead / 1000 };
	});

	readonly containers = once(() => stackContainers(this.context.stack, this.context.signal));
	readonly volumes = once(() => findStackVolumes(this.context));
	readonly backups = once(() => backupState(this.context));

	/** Undefined where the database does not run, or does not answer. */
	readonly database = once(async (): Promise<DatabaseTimes | undefined> => {
		const query = `SELECT (SELECT system_identifier >> 32 FROM pg_control_system()),
			extract(epoch FROM (pg_stat_file('base/' || oid || '/PG_VERSION')).modification)::bigint,
			coalesce(datcollversion <> pg_database_collation_actual_version(oid), false)
			FROM pg_database WHERE datname = current_database()`;
		const answer = await this.sql(query).catch(() => undefined);
		if (!answer) return undefined;
		const [initialised, created, changed] = answer.trim().split("|");
		return {
			initialised: new Date(Number(initialised) * 1000),
			created: new Date(Number(created) * 1000),
			collationChanged: changed === "t",
		};
	});

	/** Whether the stack was applied and not destroyed since; undefined: by no engine. */
	get appliedBy() {
		return appliedBy(this.context.load().directories.state);
	}

	/** Answer of one SQL statement of the application's database; undefined where it does not run. */
	async sql(query: string): Promise<string | undefined> {
		const db = (await this.containers()).find(({ service }) => service === "db");
		if (db?.state !== "running") return undefined;
		const psql = ["psql", "-XAt", "-U", databaseUser, "-d", databaseName, "-c", query];
		return await docker(["exec", db.id, ...psql], this.context.signal);
	}

	/** Why something is not to be had; undefined when it is. */
	async lacks(need: Need): Promise<string | undefined> {
		try {
			await this.#look[need]();
			return undefined;
		} catch (error) {
			if (need === "settings") return "the settings are wrong";
			if (need === "docker") return "Docker does not answer";
			return failureOf(error).message;
		}
	}

	readonly #look: Readonly<Record<Need, () => unknown>> = {
		settings: () => this.context.load(),
		docker: () => this.engine(),
		stack: async () => {
			if (this.appliedBy) return;
			const noDocker = await this.lacks("docker");
			if (noDocker) throw new Error(noDocker);
			const [containers, volumes] = await Promise.all([this.containers(), this.volumes()]);
			if (containers.length > 0 || volumes.some(({ found }) => found)) return;
			const { command, stack } = this.context;
			throw new Error(`there is no stack ${stack} on this host; ${command("up")} makes it`);
		},
		database: async () => {
			if (!(await this.database())) throw new Error("the database does not run or does not answer");
		},
	};
}

function once<T>(look: () => Promise<T>): () => Promise<T> {
	let looked: Promise<T> | undefined;
	return () => {
		looked ??= look();
		// Whoever asks is told of a failure; one who has given up need not be.
		looked.catch(() => undefined);
		return looked;
	};
}
