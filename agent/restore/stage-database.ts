/** Loads a dump into a new database beside the live one, and compares what has come with what was backed up. */
import { Meter, readWhole } from "../../recovery/archive-reader.ts";
import type { Manifest } from "../../recovery/manifest.ts";
import { type RestoreJournal, writeRestoreJournal } from "../../recovery/restore-journal.ts";
import { DumpReader, plainTableName } from "../../recovery/sql-reader.ts";
import { start } from "../children.ts";
import type { AgentConfig } from "../config.ts";
import { countRows, databaseFacts, type Query, tablesOf } from "../database-facts.ts";
import { AgentError, exitCodes } from "../failure.ts";
import { openPipe, writePipe } from "../pipe.ts";
import {
	applyFacts,
	createStaged,
	databaseExists,
	databaseNames,
	type OwnFacts,
	rolesOf,
	sweepDatabases,
} from "./databases.ts";
import { applyRoles, makeRole, missingRoles, parseRoles } from "./roles.ts";
import { connect, connectBeside, databasePassword, type Session } from "./server.ts";

export interface StagedDatabase {
	readonly rows: number;
	readonly tables: number;
}

export interface DatabaseStageOptions {
	readonly config: AgentConfig;
	readonly signal: AbortSignal;
	readonly warn: (message: string) => void;
	/** Of the recovery point; undefined for one of the old script. */
	readonly manifest?: Manifest;
}

/** Kilobytes in which an index is built, at most; half of it is what the server itself takes by default. */
const largestBuildMemory = 262_144;

export class DatabaseStage {
	readonly #options: DatabaseStageOptions;
	readonly #session: Session;
	readonly #query: Query;
	#journal: RestoreJournal;
	readonly #manifest: Manifest | undefined;
	#present: OwnFacts | undefined;
	readonly #dump = new DumpReader();
	/** Roles that are there, or have been made for the dump. */
	readonly #knownRoles = new Set<string>();

	private constructor(options: DatabaseStageOptions, journal: RestoreJournal, session: Session) {
		this.#options = options;
		this.#journal = journal;
		this.#session = session;
		this.#query = session.query;
		this.#manifest = options.manifest;
	}

	/** Connects, clears what a lost restore has left, and makes the new database. */
	static async begin(options: DatabaseStageOptions, journal: RestoreJournal): Promise<DatabaseStage> {
		// After a new cluster was put into place the server has only just been started.
		const session = await connectBeside(options.config, options.signal, 30);
		const stage = new DatabaseStage(options, journal, session);
		try {
			await stage.#begin();
			return stage;
		} catch (error) {
			await session.close();
			throw error;
		}
	}

	/** What the journal has to say from now on. */
	get journal(): RestoreJournal {
		return this.#journal;
	}

	async close(): Promise<void> {
		await this.#session.close();
	}

	async #begin(): Promise<void> {
		const { config, warn } = this.#options;
		const swept = await sweepDatabases(this.#query, this.#journal.id);
		if (swept.length > 0) warn(`remains of an earlier restore were removed: ${swept.join(", ")}`);
		this.#present = await databaseFacts(this.#query, config.database.name);
		const facts = this.#manifest?.database ?? this.#present;
		const existed = await databaseExists(this.#query, config.database.name);
		const roles = { names: [], statements: [] };
		await this.#note({ existed, comment: facts?.comment ?? null, createdRoles: [], roles, rolesBefore: [] });
		const warning = await createStaged(this.#query, this.#journal.id, facts, this.#present);
		if (warning) warn(warning);
	}

	/** Roles and their rights, which come before the dump or after it. */
	async takeGlobals(content: AsyncIterable<Buffer>): Promise<void> {
		const text = (await readWhole(content)).toString("utf8");
		const roles = parseRoles(text, this.#options.config.database.user);
		await this.#ensureRoles(roles.names);
		await this.#note({ ...this.#noted, roles });
	}

	/** Passes the dump to psql. What is not quoted in it is looked at before psql gets it. */
	async load(content: AsyncIterable<Buffer>, onProgress: (bytes: number) => void): Promise<Meter> {
		const { config, signal } = this.#options;
		const { host, port, user } = config.database;
		const { reader, writer } = await openPipe(signal);
		const { exit } = start(
			"psql",
			[
				...["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse"],
				...["--output=/dev/null", "--file=-", `--host=${host}`, `--port=${port}`, `--username=${user}`],
				`--dbname=${databaseNames(this.#journal.id).staged}`,
			],
			{
				signal,
				env: { PGPASSWORD: databasePassword(config), PGOPTIONS: await this.#loadOptions() },
				stdio: [reader.fd, "ignore", "pipe"],
			},
		);
		await reader.close();
		const meter = new Meter();
		try {
			for await (const chunk of content) {
				meter.add(chunk);
				this.#dump.add(chunk);
				if (this.#dump.beyond) throw this.#reachesBeyond(this.#dump.beyond);
				if (this.#dump.roles.size > 0) await this.#ensureNamed(this.#dump.roles);
				await writePipe(writer, chunk);
				onProgress(chunk.length);
			}
		} catch (error) {
			await writer.close();
			// psql has ended: why it has says more than that its input is closed.
			if ((error as NodeJS.ErrnoException).code === "EPIPE") await exit.catch(psqlFailure);
			throw error;
		}
		await writer.close();
		await exit.catch(psqlFailure);
		if (!this.#dump.end().complete) {
			throw new AgentError("the dump is not whole: its last line is missing", exitCodes.invalid);
		}
		return meter;
	}

	/** Settings, statistics and the comparison; then everything of the database is on the disk. */
	async complete(): Promise<StagedDatabase> {
		const { config, signal } = this.#options;
		const { id } = this.#journal;
		const facts = this.#manifest?.database ?? this.#present;
		if (facts) {
			await this.#ensureNamed(rolesOf(facts));
			await applyFacts(this.#query, id, facts);
		}
		await this.#rehearseRoles();
		const { staged } = databaseNames(id);
		const [analysing, counting] = await Promise.all([
			connect(config, staged, signal),
			connect(config, staged, signal),
		]);
		try {
			const [, counted] = await Promise.all([
				analysing.query("ANALYZE"),
				tablesOf(counting.query).then((tables) => countRows(counting.query, tables)),
			]);
			this.#compare(counted);
			const counts = Object.values(counted);
			return { rows: counts.reduce((total, count) => total + count, 0), tables: counts.length };
		} finally {
			await Promise.all([analysing.close(), counting.close()]);
		}
	}

	/** What cannot be done is to be known now, while nothing stands still. */
	async #rehearseRoles(): Promise<void> {
		await this.#query("BEGIN");
		try {
			await applyRoles(this.#query, this.#noted.roles, this.#noted.createdRoles, this.#journal.id);
		} catch (error) {
			throw new AgentError(`the roles of the backup cannot be applied: ${(error as Error).message}`);
		} finally {
			await this.#query("ROLLBACK");
		}
	}

	async #loadOptions(): Promise<string> {
		const [row] = await this.#query(
			"SELECT pg_size_bytes(current_setting('shared_buffers')) / 1024 AS shared",
		);
		// A small server is one that has little memory: what it shares tells how much.
		const memory = Math.min(2 * Number(row?.shared), largestBuildMemory);
		return [
			"synchronous_commit=off",
			`maintenance_work_mem=${memory}kB`,
			"jit=off",
			"statement_timeout=0",
			"idle_in_transaction_session_timeout=0",
		]
			.map((option) => `-c ${option}`)
			.join(" ");
	}

	/** Roles that are named where nothing says what they may do. */
	async #ensureNamed(roles: Iterable<string>): Promise<void> {
		const made = await this.#ensureRoles(roles);
		if (made.length === 0) return;
		this.#options.warn(
			`the backup names roles that are not there and does not say what they may do: ${made.join(", ")}; they were made without password and rights of their own`,
		);
	}

	/** Makes those roles that are missing, noted before they are made. @returns those. */
	async #ensureRoles(roles: Iterable<string>): Promise<string[]> {
		const unknown = [...roles].filter((role) => !this.#knownRoles.has(role));
		if (unknown.length === 0) return [];
		const missing = await missingRoles(this.#query, unknown);
		for (const role of missing) {
			await this.#note({ ...this.#noted, createdRoles: [...this.#noted.createdRoles, role] });
			await makeRole(this.#query, role, this.#journal.id);
		}
		for (const role of unknown) this.#knownRoles.add(role);
		return missing;
	}

	get #noted(): NonNullable<RestoreJournal["database"]> {
		const { database } = this.#journal;
		if (!database) throw new Error("the journal does not speak of the database");
		return database;
	}

	async #note(database: RestoreJournal["database"]): Promise<void> {
		this.#journal = { ...this.#journal, database };
		await writeRestoreJournal(this.#options.config.backupDirectory, this.#journal);
	}

	#compare(counted: Readonly<Record<string, number>>): void {
		const expected = this.#manifest?.database.rows ?? Object.fromEntries(this.#dump.end().rows);
		const there = new Map(Object.entries(counted).map(([table, rows]) => [plainTableName(table), rows]));
		const differences = Object.entries(expected).flatMap(([table, rows]) => {
			const found = there.get(plainTableName(table));
			// A dump of an older program may name a table without its schema; then there is nothing to compare.
			if (found === undefined && !plainTableName(table).includes(".")) return [];
			return found === rows ? [] : [`${table} has ${found ?? "no"} rows, and ${rows} were backed up`];
		});
		if (differences.length > 0) {
			throw new AgentError(
				`the database that was loaded is not the one that was backed up: ${differences.slice(0, 10).join("; ")}`,
				exitCodes.invalid,
			);
		}
	}

	#reachesBeyond(what: string): AgentError {
		return new AgentError(
			`the dump reaches beyond its own database (${what}), as dumps of pg_dumpall and pg_dump --create do. Restore it by hand, or dump the database again without that`,
			exitCodes.invalid,
		);
	}
}

/** @throws AgentError: bad SQL is a fault of the backup, everything else one of the server. */
function psqlFailure(error: unknown): never {
	const message = (error as Error).message.replace(/^psql failed: /, "");
	const said = message.replace(/^psql:<stdin>:(\d+): /, "line $1 of the dump: ").split("\n")[0];
	if (/No space left on device/.test(message)) {
		throw new AgentError(`the disk with the database is full (${said})`);
	}
	if (/server closed|terminating connection|connection to server/.test(message))
		throw new AgentError(`the database went away while the dump was loaded (${said})`);
	if (!message.startsWith("psql:<stdin>")) throw error;
	throw new AgentError(`the dump does not load: ${said}`, exitCodes.invalid);
}
