/** A database, a Redis, two volumes and the backup container, made for one test file. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildImage } from "../../images/build.ts";
import { docker, removeContainers } from "../support/docker.ts";

const root = join(import.meta.dirname, "..", "..");

export interface Outcome {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Runs a program and gives how it ended; it never throws. */
export function run(command: string, args: readonly string[], input?: string | Buffer): Outcome {
	const { status, stdout, stderr } = spawnSync(command, args, {
		input,
		encoding: "utf8",
		maxBuffer: 1 << 28,
		// It blocks the test's own time limit.
		timeout: 240_000,
	});
	return { code: status ?? -1, stdout, stderr };
}

export { docker };

function standIn(name: string): string {
	const reference = `persistent-stack/stand-in-${name}`;
	const [image] = docker("images", "--format", "{{.Repository}}:{{.Tag}}", reference).split("\n");
	if (!image) throw new Error(`there is no image ${reference}; run ./docker-dev.sh up once, which builds it`);
	return image;
}

/** Limits of the sidecar as the component sets them. */
const sidecarOptions = [
	"--init",
	"--cap-drop=ALL",
	...["DAC_READ_SEARCH", "SETUID", "SETGID"].map((capability) => `--cap-add=${capability}`),
	"--security-opt=no-new-privileges",
	"--read-only",
	"--tmpfs=/tmp:mode=1777",
	"--tmpfs=/run:mode=0755",
];

export class Rig {
	readonly name: string;
	readonly directory: string;
	readonly backups: string;
	readonly images = { postgres: standIn("postgres"), redis: standIn("redis"), node: standIn("node") };
	/** One for each checkout: two of them may test at once. */
	readonly agentImage = `rectest-agent:${createHash("sha256").update(root).digest("hex").slice(0, 12)}`;
	config: Record<string, unknown> = {
		stack: "test",
		retentionDays: { daily: 7, weekly: 28, manual: 30, safety: 14 },
		minimumCopies: 3,
	};
	password = "Secret-with:odd\\chars'";

	constructor(name: string) {
		this.name = `rectest-${process.pid}-${name}`;
		this.directory = mkdtempSync(join(tmpdir(), "rectest-"));
		this.backups = join(this.directory, "backups");
		mkdirSync(this.backups, { mode: 0o700 });
	}

	label = "--label=stack-test=1";

	async buildAgent(): Promise<void> {
		const ca = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "persistent-stack/ca-bundle").split(
			"\n",
		)[0];
		await buildImage({
			context: root,
			dockerfile: "images/backup/Dockerfile",
			tag: this.agentImage,
			labels: { "stack-test": "1" },
			args: {
				POSTGRES_IMAGE: this.images.postgres,
				REDIS_IMAGE: this.images.redis,
				NODE_IMAGE: this.images.node,
				...(ca ? { CA_IMAGE: ca } : {}),
			},
		});
	}

	async start(): Promise<void> {
		await this.buildAgent();
		docker("network", "create", this.label, this.name);
		this.writeSecrets();
		this.startDatabase("db");
		docker(
			...[
				"run",
				"--detach",
				this.label,
				`--name=${this.name}-redis`,
				`--network=${this.name}`,
				"--network-alias=redis",
				`--volume=${this.name}-redis:/data`,
			],
			...[
				this.images.redis,
				"redis-server",
				"--appendonly",
				"yes",
				"--requirepass",
				this.password,
				"--repl-diskless-sync-delay",
				"0",
			],
		);
		for (const volume of ["media", "static"])
			docker("volume", "create", this.label, `${this.name}-${volume}`);
		this.waitForDatabase("db");
	}

	startDatabase(alias: string): void {
		docker(
			...[
				"run",
				"--detach",
				this.label,
				`--name=${this.name}-${alias}`,
				`--network=${this.name}`,
				`--network-alias=${alias}`,
			],
			...["--env=POSTGRES_DB=backend_db", `--env=POSTGRES_PASSWORD=${this.password}`, this.images.postgres],
			...["-c", "fsync=off", "-c", "max_wal_size=4GB"],
		);
	}

	waitForDatabase(alias: string): void {
		const deadline = Date.now() + 60_000;
		for (;;) {
			const ready = run("docker", [
				"exec",
				`${this.name}-${alias}`,
				"pg_isready",
				"-q",
				"-h",
				"127.0.0.1",
				"-d",
				"backend_db",
			]);
			if (ready.code === 0) return;
			if (Date.now() > deadline)
				throw new Error(`PostgreSQL did not start: ${docker("logs", `${this.name}-${alias}`)}`);
			execFileSync("sleep", ["0.2"]);
		}
	}

	writeSecrets(database = this.password): void {
		const secrets = join(this.directory, "secrets");
		mkdirSync(secrets, { recursive: true });
		writeFileSync(join(secrets, "database_password"), database);
		writeFileSync(join(secrets, "redis_password"), this.password);
	}

	/** Runs SQL and gives its bare output. */
	sql(text: string, alias = "db", database = "backend_db"): string {
		const args = [
			"exec",
			"-i",
			`${this.name}-${alias}`,
			"psql",
			"-XqAt",
			"-v",
			"ON_ERROR_STOP=1",
			"-U",
			"postgres",
			"-d",
			database,
		];
		const { code, stdout, stderr } = run("docker", args, text);
		if (code !== 0) throw new Error(stderr);
		return stdout.trim();
	}

	/** Runs a shell as root with both volumes writable. */
	shell(script: string): string {
		return docker(
			...[
				"run",
				"--rm",
				this.label,
				`--volume=${this.name}-media:/media`,
				`--volume=${this.name}-static:/static`,
			],
			...[
				`--volume=${this.directory}:${this.directory}`,
				"--entrypoint=bash",
				this.agentImage,
				"-ec",
				script,
			],
		);
	}

	sidecarArguments(extra: readonly string[] = []): string[] {
		return [
			this.label,
			`--network=${this.name}`,
			...sidecarOptions,
			`--volume=${this.backups}:/backups`,
			`--volume=${this.name}-media:/data/media:ro`,
			`--volume=${this.name}-static:/data/static:ro`,
			`--volume=${join(this.directory, "secrets")}:/run/secrets:ro`,
			`--env=AGENT_CONFIG=${JSON.stringify(this.config)}`,
			...extra,
		];
	}

	/** One command of the agent in a container of its own. */
	agent(args: readonly string[], extra: readonly string[] = []): Outcome {
		return run("docker", ["run", "--rm", ...this.sidecarArguments(extra), this.agentImage, ...args]);
	}

	/** A full backup that must succeed; gives its file name. */
	backup(...args: string[]): string {
		const { code, stdout, stderr } = this.agent(["backup", ...args]);
		if (code !== 0) throw new Error(stderr);
		return stdout.trim();
	}

	/** Names in the backup directory, without what the agent keeps for itself. */
	files(): string[] {
		return readdirSync(this.backups)
			.filter((name) => !/^\.test\.((status|alarms|drill|offsite)\.json|lock)$/.test(name))
			.sort();
	}

	archives(): string[] {
		return this.files().filter((name) => /^(full|db)_backup_/.test(name) && !name.endsWith(".json"));
	}

	index(file: string) {
		return JSON.parse(readFileSync(join(this.backups, `${file}.json`), "utf8"));
	}

	stop(): void {
		const mine = (kind: string, format: string, ...more: string[]) =>
			docker(kind, "ls", ...more, "--filter", `name=${this.name}`, "--format", format)
				.split("\n")
				.filter(Boolean);
		removeContainers(mine("container", "{{.ID}}", "--all"));
		const volumes = mine("volume", "{{.Name}}");
		if (volumes.length > 0) docker("volume", "rm", "--force", ...volumes);
		for (const network of mine("network", "{{.ID}}")) docker("network", "rm", network);
		rmSync(this.directory, { recursive: true, force: true });
	}
}
