/** The rig with a restore's helper: the container that stages and swaps, as the operator's command starts it. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
	type RestoreJournal,
	type RestorePhase,
	restoreJournalFile,
	writeRestoreJournal,
} from "../../recovery/restore-journal.ts";
import { docker, type Outcome, Rig, run } from "./rig.ts";

const capabilities = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD"];

export class RestoreRig extends Rig {
	/** Volumes by target; a test may put another in the place of one. */
	volumes: Record<string, string> = {
		media: `${this.name}-media`,
		static: `${this.name}-static`,
		redis: `${this.name}-redis`,
	};

	/** How the helper has the database's volume: it writes there only when a cluster is built anew. */
	databaseMode: "ro" | "rw" = "ro";

	databaseVolume(): string {
		const data = "/var/lib/postgresql/data";
		const format = `{{range .Mounts}}{{if eq .Destination "${data}"}}{{.Name}}{{end}}{{end}}`;
		return docker("inspect", "--format", format, `${this.name}-db`);
	}

	helperArguments(): string[] {
		return [
			this.label,
			`--network=${this.name}`,
			...[
				"--init",
				"--cap-drop=ALL",
				"--security-opt=no-new-privileges",
				"--read-only",
				"--tmpfs=/tmp",
				"--tmpfs=/run",
			],
			...capabilities.map((capability) => `--cap-add=${capability}`),
			`--volume=${this.backups}:/backups`,
			`--volume=${this.backups}:/source:ro`,
			`--volume=${this.databaseVolume()}:/targets/database:${this.databaseMode}`,
			...Object.entries(this.volumes).map(([target, volume]) => `--volume=${volume}:/targets/${target}`),
			`--volume=${join(this.directory, "secrets")}:/run/secrets:ro`,
			`--env=AGENT_CONFIG=${JSON.stringify(this.config)}`,
		];
	}

	helper(...args: string[]): Outcome {
		return run("docker", ["run", "--rm", ...this.helperArguments(), this.agentImage, "restore", ...args]);
	}

	/** A helper that goes on; its container can be killed. */
	beginHelper(...args: string[]): { container: string; ended: Promise<Outcome> } {
		const container = `${this.name}-helper-${Math.random().toString(36).slice(2)}`;
		const options = ["run", "--rm", `--name=${container}`, ...this.helperArguments(), this.agentImage];
		const child = spawn("docker", [...options, "restore", ...args]);
		let stdout = "";
		let stderr = "";
		child.stdout.on("data", (data) => {
			stdout += data;
		});
		child.stderr.on("data", (data) => {
			stderr += data;
		});
		const ended = new Promise<Outcome>((resolve) =>
			child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr })),
		);
		return { container, ended };
	}

	async begin(archive: string, more: Partial<RestoreJournal> = {}): Promise<string> {
		const id = Math.floor(Math.random() * 2 ** 32)
			.toString(16)
			.padStart(8, "0");
		await writeRestoreJournal(this.backups, {
			formatVersion: 1,
			id,
			stack: "test",
			archive,
			source: archive,
			startedAt: new Date().toISOString(),
			phase: "staging",
			targets: ["database", "media", "static"],
			redis: "keep",
			services: [],
			...more,
		});
		return id;
	}

	/** Stages, swaps and finishes; each step must succeed. Services that use a volume are stopped meanwhile. */
	async restore(
		archive: string,
		more: Partial<RestoreJournal> = {},
		stageOptions: string[] = [],
	): Promise<void> {
		const id = await this.begin(archive, more);
		this.must("stage", "--id", id, ...stageOptions);
		const redis = more.redis !== undefined && more.redis !== "keep";
		if (redis) docker("stop", `${this.name}-redis`);
		this.must("swap", "--id", id);
		if (redis) this.startRedis();
		this.must("finish", "--id", id);
	}

	must(...args: string[]): Outcome {
		const outcome = this.helper(...args);
		if (outcome.code !== 0) throw new Error(`${args[0]}: ${outcome.code} ${outcome.stderr}`);
		return outcome;
	}

	startRedis(): void {
		docker("start", `${this.name}-redis`);
		for (let tries = 0; this.redis("PING") !== "PONG"; tries++) {
			if (tries > 100) throw new Error(`Redis did not start: ${docker("logs", `${this.name}-redis`)}`);
			execFileSync("sleep", ["0.1"]);
		}
	}

	/** One command of Redis. */
	redis(...command: string[]): string {
		const options = ["exec", "--env", `REDISCLI_AUTH=${this.password}`, `${this.name}-redis`, "redis-cli"];
		return run("docker", [...options, ...command]).stdout.trim();
	}

	/** Undefined when there is none. */
	phase(): RestorePhase | undefined {
		const file = restoreJournalFile(this.backups, "test");
		return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).phase : undefined;
	}

	/** Everything that a restore could change: rows, roles, databases, files with their attributes, the journal. */
	state(): string {
		const databases = this.sql(
			`SELECT datname, datdba::regrole, datacl, datconnlimit, datallowconn, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1;
			SELECT datname, r.rolname, (SELECT array_agg(one ORDER BY one) FROM unnest(setconfig) one) FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = setdatabase LEFT JOIN pg_roles r ON r.oid = setrole ORDER BY 1, 2;
			SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil, shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY 1;
			SELECT roleid::regrole, member::regrole, grantor::regrole, admin_option, inherit_option, set_option FROM pg_auth_members ORDER BY 1, 2, 3;`,
			"db",
			"postgres",
		);
		return [
			databases,
			this.database(),
			this.volume("media"),
			this.volume("static"),
			this.phase() ?? "no journal",
		].join("\n\n");
	}

	/** The schema, and a hash of schema and rows; the random token that newer dumps carry is left out. */
	database(): string {
		const dump = `pg_dump -U postgres --create`;
		const script = `${dump} --schema-only backend_db | sed '/^.\\(un\\)\\?restrict /d'; ${dump} backend_db | sed '/^.\\(un\\)\\?restrict /d' | sha256sum`;
		return docker("exec", `${this.name}-db`, "sh", "-ec", script);
	}

	/** Type, mode, owner, size, blocks, time, link and hash of everything in a volume. */
	volume(target: string): string {
		const script = `cd /volume
			find . -type d -printf '%p %y %m %U:%G %T@\\n' -o ! -type s -printf '%p %y %m %U:%G %s %T@ %l\\n' | LC_ALL=C sort
			find . -type f -print0 | LC_ALL=C sort -z | xargs -0 --no-run-if-empty sha256sum`;
		const options = ["--rm", this.label, `--volume=${this.volumes[target]}:/volume`, "--entrypoint=bash"];
		return docker("run", ...options, this.agentImage, "-ec", script);
	}
}
