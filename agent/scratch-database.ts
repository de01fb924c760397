/**
 * A PostgreSQL server of a drill's own: in a scratch directory, reachable only through a socket in it, by a user
 * that owns nothing else. Whatever a dump does when it is loaded, it does there.
 */
import { finished, type Readable, type Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { DatabaseFacts } from "../recovery/manifest.ts";
import { output, type Running, start } from "./children.ts";
import { countRows, type Query, tablesOf } from "./database-facts.ts";
import { localeClause } from "./restore/databases.ts";

const startSeconds = 60;

/** No durability: it is thrown away. Little memory: the container has little. */
const settings = {
	listen_addresses: "",
	fsync: "off",
	full_page_writes: "off",
	synchronous_commit: "off",
	wal_level: "minimal",
	max_wal_senders: "0",
	max_wal_size: "1GB",
	autovacuum: "off",
	shared_buffers: "64MB",
	maintenance_work_mem: "64MB",
	max_parallel_maintenance_workers: "0",
};

/** Runs a program as the database's user, with none of this program's powers. */
export function asDatabaseUser(command: string, args: readonly string[]): [string, string[]] {
	const drop = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];
	return ["setpriv", [...drop, "--inh-caps=-all", "--ambient-caps=-all", command, ...args]];
}

export class ScratchDatabase {
	readonly #directory: string;
	readonly #superuser: string;
	readonly #server: Running;
	readonly #signal: AbortSignal;
	/** As the server says it, such as `17.12`. */
	version = "";

	private constructor(directory: string, superuser: string, server: Running, signal: AbortSignal) {
		this.#directory = directory;
		this.#superuser = superuser;
		this.#server = server;
		this.#signal = signal;
	}

	/**
	 * Initialises and starts it.
	 *
	 * @param directory does not exist yet; its parent can be written by everybody.
	 * @param superuser the first role, as on the server that was dumped: only it may repeat that one's grants.
	 */
	static async start(directory: string, superuser: string, signal: AbortSignal): Promise<ScratchDatabase> {
		await output(...asDatabaseUser("mkdir", ["--mode=700", directory, `${directory}/socket`]), { signal });
		const init = [`--pgdata=${directory}/data`, `--username=${superuser}`, "--auth=trust"];
		init.push("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions");
		await output(...asDatabaseUser("initdb", init), { signal });
		const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
		options.push("-c", `unix_socket_directories=${directory}/socket`);
		const server = start(...asDatabaseUser("postgres", ["-D", `${directory}/data`, ...options]), {
			signal,
			stdio: ["ignore", "ignore", "pipe"],
		});
		const database = new ScratchDatabase(directory, superuser, server, signal);
		try {
			await database.#waitUntilReady();
		} catch (error) {
			await database.stop();
			throw error;
		}
		return database;
	}

	async #waitUntilReady(): Promise<void> {
		let ended = false;
		this.#server.exit
			.finally(() => {
				ended = true;
			})
			.catch(() => undefined);
		for (
			const deadline = Date.now() + startSeconds * 1000;
			;
			await sleep(100, undefined, { signal: this.#signal })
		) {
			if (ended) await this.#server.exit;
			try {
				const [row] = await this.query("postgres", "SELECT current_setting('server_version') AS version");
				this.version = String(row?.version).split(" ")[0] ?? "";
				return;
			} catch (error) {
				if (Date.now() > deadline) throw error;
			}
		}
	}

	async query(database: string, sql: string): Promise<Record<string, unknown>[]> {
		return await this.#connected(database, async (client) => (await client.query(sql)).rows);
	}

	/** An empty database with the recorded encoding and locale. */
	async create(facts: DatabaseFacts): Promise<void> {
		const name = pg.escapeIdentifier(facts.name);
		await this.query("postgres", `CREATE DATABASE ${name} TEMPLATE template0 ${localeClause(facts)}`);
	}

	/**
	 * Runs SQL as it comes, and reads it to its end even where it fails.
	 *
	 * @throws AgentError with what psql said.
	 */
	async run(database: string, sql: AsyncIterable<Buffer>): Promise<void> {
		const args = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", `--host=${this.#directory}/socket`];
		args.push(`--username=${this.#superuser}`, `--dbname=${database}`);
		const psql = start(...asDatabaseUser("psql", args), {
			signal: this.#signal,
			// What the recorded settings say of every session must not stop this one.
			env: { PGOPTIONS: "-c default_transaction_read_only=off -c statement_timeout=0" },
			stdio: ["pipe", "ignore", "pipe"],
		});
		await feed(sql, psql);
	}

	/** Rows of every table, named as the manifest names them. */
	async countRows(database: string): Promise<Record<string, number>> {
		return await this.#connected(database, async (client) => {
			const query: Query = async (sql) => (await client.query(sql)).rows;
			return await countRows(query, await tablesOf(query));
		});
	}

	async #connected<T>(database: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
		const client = new pg.Client({ host: `${this.#directory}/socket`, user: this.#superuser, database });
		client.on("error", () => undefined);
		try {
			await client.connect();
			return await use(client);
		} finally {
			await client.end().catch(() => undefined);
		}
	}

	/** Ends it at once. A program of another user cannot be signalled from here, so its own user does. */
	async stop(): Promise<void> {
		const stop = ["stop", `--pgdata=${this.#directory}/data`, "--mode=immediate", "--silent"];
		// Where the run was ended, this must still happen.
		const signal = AbortSignal.timeout(20_000);
		await output(...asDatabaseUser("pg_ctl", stop), { signal }).catch(() => undefined);
		await this.#server.exit.catch(() => undefined);
	}
}

/**
 * Writes all of it to a program and waits for its end. What one that ended early does not take any more is read
 * and dropped.
 */
export async function feed(source: AsyncIterable<Buffer>, { child, exit }: Running): Promise<void> {
	const into = child.stdin as Writable;
	let open = true;
	const closed = new Promise<void>((resolve) => {
		finished(into as unknown as Readable, () => {
			open = false;
			resolve();
		});
	});
	try {
		for await (const chunk of source) {
			// Its memory is used again for the next: it has to be gone by then.
			if (open) await Promise.race([new Promise((resolve) => into.write(chunk, resolve)), closed]);
		}
	} catch (error) {
		// A program of another user cannot be signalled from here: the end of its input ends it.
		into.end();
		await exit.catch(() => undefined);
		throw error;
	}
	if (open) into.end();
	await exit;
}
