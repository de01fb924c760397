import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { performance } from "node:perf_hooks";
import { programDirectory } from "../components/directories.ts";

/** Rows of about 100 bytes of text as an application has it: names, numbers, words. */
const makeRows = `
	CREATE TABLE record(id bigint PRIMARY KEY, owner int, at timestamptz, code text, note text);
	INSERT INTO record SELECT g, g % 9973, '2026-01-01'::timestamptz + g * interval '7 seconds', md5(g::text),
		'note ' || g % 1000 || ' of ' || (ARRAY['alpha','beta','gamma','delta'])[1 + g % 4]
		FROM generate_series(1, 4200000) g;`;

const makeFiles = `
	for i in $(seq 1 100); do head -c 4000000 /dev/urandom > /app/media/upload-$i.bin; done
	mkdir -p /app/staticfiles/lib; for i in $(seq 1 80); do
		base64 /dev/urandom | head -c 500000 | fold -w 40 | sed 's/^/\\t.class { colour: /; s/$/; }/' > /app/staticfiles/lib/style-$i.css
	done`;

/** A stack of the benchmark's own, beside whatever runs on this machine. */
export class BenchStack {
	readonly directory = mkdtempSync(join(tmpdir(), "stack-bench-"));
	readonly name: string;
	readonly engine: "local" | "pulumi";
	#port = 0;

	private constructor(engine: "local" | "pulumi") {
		this.engine = engine;
		this.name = `bench-${engine}`;
	}

	static async create(engine: "local" | "pulumi"): Promise<BenchStack> {
		const stack = new BenchStack(engine);
		const project = readFileSync(join(programDirectory, "Pulumi.yaml"), "utf8");
		const main = `main: ${relative(stack.directory, programDirectory)}\n`;
		writeFileSync(join(stack.directory, "Pulumi.yaml"), `${project}${main}`);
		stack.#port = await freePort();
		stack.configure({});
		return stack;
	}

	/** Writes the stack's file, with these settings beside its own. */
	configure(settings: Readonly<Record<string, unknown>>): void {
		const all = {
			mode: "development",
			removalPolicy: "remove",
			imageSource: "auto",
			prefix: this.name,
			port: this.#port,
			...settings,
		};
		const config = Object.fromEntries(
			Object.entries(all).map(([key, value]) => [`persistent-stack:${key}`, value]),
		);
		writeFileSync(join(this.directory, `Pulumi.${this.name}.yaml`), JSON.stringify({ config }));
	}

	get port(): number {
		return this.#port;
	}

	/** Seconds that a command takes, from the shell's side: start of the process to its end. */
	time(...args: string[]): number {
		return this.run(...args).seconds;
	}

	/** As `time`, and what the command printed. */
	run(...args: string[]): { seconds: number; stdout: string } {
		const engine = args.some((argument) => ["up", "preview", "destroy"].includes(argument))
			? ["--engine", this.engine]
			: [];
		const command = ["-C", this.directory, "-s", this.name, ...engine, ...args];
		const started = performance.now();
		const result = spawnSync(join(programDirectory, "docker-dev.sh"), command, { encoding: "utf8" });
		if (result.status !== 0) throw new Error(`docker-dev.sh ${args.join(" ")} failed:\n${result.stderr}`);
		return { seconds: (performance.now() - started) / 1000, stdout: result.stdout };
	}

	/** Memory in use of each container, MiB, as the cgroup has it without the page cache. */
	idleMemory(): [service: string, mebibytes: string][] {
		const label = `label=persistent-stack.owner=persistent-stack/${this.name}`;
		const ids = docker("ps", "--quiet", "--filter", label).split("\n");
		return docker("stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", ...ids)
			.split("\n")
			.sort()
			.map((line) => line.split("\t"))
			.map(([name = "", usage = ""]) => [name.slice(this.name.length + 1), usage.split(" / ")[0] ?? ""]);
	}

	cleanUp(): void {
		spawnSync(join(programDirectory, "docker-dev.sh"), [
			...["-C", this.directory, "-s", this.name, "--engine", this.engine],
			...["destroy", "--yes"],
		]);
		rmSync(this.directory, { recursive: true, force: true });
	}
}

/** Puts the data of the backup and the restore into a stack: 362 MB of SQL text, 400 MB that do not compress, 60 MB. */
export function makeData({ name }: BenchStack): void {
	const sql = (text: string) =>
		docker("exec", `${name}-db`, "psql", "-q", "-U", "postgres", "-d", "backend_db", "-c", text);
	sql(makeRows);
	// Else the server would do it by itself in the middle of what is measured.
	sql("VACUUM ANALYZE");
	docker("exec", `${name}-backend`, "sh", "-ec", makeFiles);
}

export function docker(...args: string[]): string {
	return execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
}

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const address = server.address();
			server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
		});
	});
}
