import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parse, stringify } from "yaml";
import { ensureImages } from "../../cli/setup/images.ts";
import { silentReport } from "../../cli/setup/report.ts";
import type { ServiceName, VolumeKey } from "../../components/catalogue.ts";
import { programDirectory, stateDirectory } from "../../components/directories.ts";
import { docker, removeLabelled, testLabel } from "./docker.ts";

export interface CommandResult {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

export interface CommandOptions {
	/** Text for standard input; none: empty. */
	readonly input?: string;
	readonly environment?: Record<string, string>;
	/** Whether a non-zero exit is expected; else it fails the test, with everything that was printed. */
	readonly mayFail?: boolean;
}

type Settings = Record<string, unknown>;

/**
 * A stack of a test's own, in a project directory of its own: own prefix, port, backup directory and source,
 * beside whatever else runs on this machine.
 */
export class TestStack {
	readonly directory: string;
	readonly name: string;
	readonly port: number;

	private constructor(directory: string, name: string, port: number) {
		this.directory = directory;
		this.name = name;
		this.port = port;
	}

	/** Makes the project; nothing is brought up. */
	static async create(settings: Settings = {}): Promise<TestStack> {
		const directory = mkdtempSync(join(tmpdir(), "stack-test-"));
		const name = `test-${randomBytes(4).toString("hex")}`;
		const stack = new TestStack(directory, name, await freePort());
		const project = readFileSync(join(programDirectory, "Pulumi.yaml"), "utf8");
		writeFileSync(
			join(directory, "Pulumi.yaml"),
			`${project}main: ${relative(directory, programDirectory)}\n`,
		);
		// What git tracks, and new files: no node_modules, nothing that a running stack wrote.
		const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "app"], {
			cwd: programDirectory,
			encoding: "utf8",
		});
		for (const file of files.trim().split("\n")) {
			cpSync(join(programDirectory, file), join(directory, file), { recursive: true });
		}
		stack.configure({
			mode: "development",
			removalPolicy: "remove",
			imageSource: "auto",
			prefix: name,
			port: stack.port,
			labels: [testLabel],
			...settings,
		});
		return stack;
	}

	/** Records the base images, which a first up would do. */
	async recordImages(): Promise<void> {
		const stackDirectory = stateDirectory(this.directory, this.name);
		await ensureImages({ stackDirectory, report: silentReport });
	}

	get url(): string {
		return `http://127.0.0.1:${this.port}`;
	}

	get settingsFile(): string {
		return join(this.directory, `Pulumi.${this.name}.yaml`);
	}

	/** Changes settings of the stack's file; `undefined` removes one. */
	configure(changes: Settings): void {
		const before = this.#readSettings();
		const after = { ...before };
		for (const [key, value] of Object.entries(changes)) {
			if (value === undefined) delete after[`persistent-stack:${key}`];
			else after[`persistent-stack:${key}`] = value;
		}
		writeFileSync(this.settingsFile, stringify({ config: after }));
	}

	#readSettings(): Settings {
		try {
			return (parse(readFileSync(this.settingsFile, "utf8")) as { config: Settings }).config;
		} catch {
			return {};
		}
	}

	/** Runs a verb of the command line on this stack, as an operator would. */
	async run(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
		const result = await this.start(args, options).ended;
		if (result.code !== 0 && !options.mayFail) {
			throw new Error(
				`stack ${args.join(" ")} exited with ${result.code}\n${result.stdout}\n${result.stderr}`,
			);
		}
		return result;
	}

	/** Program and arguments of a verb on this stack. */
	commandLine(args: readonly string[]): [program: string, ...args: string[]] {
		const program = [process.execPath, "--no-warnings", join(programDirectory, "cli", "stack.mjs")] as const;
		return [...program, "-C", this.directory, "-s", this.name, ...args];
	}

	/** Starts a verb; for those that are to be interrupted. */
	start(args: readonly string[], options: CommandOptions = {}) {
		const [program, ...command] = this.commandLine(args);
		const child = spawn(program, command, {
			env: { ...process.env, NODE_OPTIONS: "", NO_COLOR: "1", ...options.environment },
			stdio: ["pipe", "pipe", "pipe"],
			detached: true,
		});
		const output = { stdout: "", stderr: "" };
		for (const stream of ["stdout", "stderr"] as const) {
			child[stream].setEncoding("utf8").on("data", (text: string) => {
				output[stream] += text;
			});
		}
		child.stdin.on("error", () => {});
		child.stdin.end(options.input ?? "");
		const ended = new Promise<CommandResult>((resolve, reject) => {
			child.once("error", reject);
			child.once("close", (code, signal) => resolve({ code: code ?? (signal ? 128 : 1), ...output }));
		});
		return { child, output, ended };
	}

	/** Answer of one SQL statement, unaligned, without headings. */
	sql(statement: string, prefix = this.name): string {
		return docker(
			"exec",
			`${prefix}-db`,
			"psql",
			"-X",
			"-A",
			"-t",
			"-v",
			"ON_ERROR_STOP=1",
			"-U",
			"postgres",
			"-d",
			"backend_db",
			"-c",
			statement,
		);
	}

	/** Real name of a volume made under the stack's own prefix. */
	volume(key: VolumeKey): string {
		return `${this.name}-${key}`;
	}

	/** One line for each file of a volume: owner, mode, size, SHA-256, path. */
	volumeContent(volume: string): string {
		const list =
			'cd /volume && find . -type f -exec sh -c \'stat -c "%u:%g %a %s" "$1"; sha256sum "$1"\' _ {} \\; | sort';
		return this.inImage("postgres", `${volume}:/volume:ro`, list);
	}

	/** Name of one of the base images that this machine recorded for the stack. */
	baseImage(image: "postgres" | "redis"): string {
		const record = readFileSync(join(this.directory, ".stack", this.name, "images.json"), "utf8");
		return (JSON.parse(record) as { images: Record<string, string> }).images[image] ?? "";
	}

	/** Runs a shell script as root in a throw-away container of one of the stack's base images. */
	inImage(image: "postgres" | "redis", volume: string, script: string): string {
		const mount = ["--network", "none", "--volume", volume, "--entrypoint", "sh", "--user", "0:0"];
		return docker("run", "--rm", "--label", testLabel, ...mount, this.baseImage(image), "-c", script);
	}

	/** Runs a shell script in a service's container, as its user. */
	inService(service: ServiceName, script: string, prefix = this.name): string {
		return docker("exec", `${prefix}-${service}`, "sh", "-c", script);
	}

	/** Ids of the stack's containers, sorted: the same ids mean that nothing was replaced. */
	containerIds(): string[] {
		return docker(
			"ps",
			"--all",
			"--quiet",
			"--no-trunc",
			"--filter",
			`label=persistent-stack.owner=persistent-stack/${this.name}`,
		)
			.split("\n")
			.sort();
	}

	/** Removes everything of the stack, and the directory. */
	cleanUp(): void {
		removeLabelled(`persistent-stack.owner=persistent-stack/${this.name}`);
		rmSync(this.directory, { recursive: true, force: true });
	}
}

export function freePort(): Promise<number> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const address = server.address();
			server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
		});
	});
}
