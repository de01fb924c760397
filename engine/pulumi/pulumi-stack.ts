/**
 * The record that Pulumi keeps of a stack, read and written by its own command line. Nothing here touches an object
 * of the stack. Deployments with secrets in plain go through pipes only: the Automation API's import and its like
 * write them into a temporary file that everybody may read.
 */
import { spawn } from "node:child_process";
import { EngineError } from "../errors.ts";
import type { PulumiDeployment } from "../handover/deployments.ts";
import type { Properties } from "../local/values.ts";
import type { StackContext } from "../stack-context.ts";
import { pulumiEnvironment, requirePulumi } from "./pulumi-engine.ts";

export class PulumiStack {
	readonly #context: StackContext;
	readonly #signal: AbortSignal | undefined;

	/** @throws UnreachableError when there is no pulumi on the PATH. */
	constructor(context: StackContext, signal?: AbortSignal) {
		requirePulumi();
		this.#context = context;
		this.#signal = signal;
	}

	/** The deployment, secrets encrypted by Pulumi or in plain; undefined when Pulumi has no such stack. */
	async export({ showSecrets = false } = {}): Promise<PulumiDeployment | undefined> {
		try {
			const text = await this.#run(["stack", "export", ...(showSecrets ? ["--show-secrets"] : [])]);
			return JSON.parse(text) as PulumiDeployment;
		} catch (error) {
			if (/no stack named/.test((error as Error).message)) return undefined;
			throw error;
		}
	}

	/** Makes the stack, empty; Pulumi may note in Pulumi.<stack>.yaml how it encrypts secrets. */
	async init(): Promise<void> {
		await this.#run(["stack", "init"]);
	}

	/** Replaces the deployment. Secrets may be in plain: Pulumi encrypts them before it stores anything. */
	async import(deployment: PulumiDeployment): Promise<void> {
		await this.#run(["stack", "import"], JSON.stringify(deployment));
	}

	/** Reads every object and records what Pulumi's providers find. */
	async refresh(): Promise<void> {
		await this.#run(["refresh", "--yes", "--skip-preview", "--run-program=false", "--color", "never"]);
	}

	/** Inputs that the program declares and Pulumi's providers have checked, by URN, of what a preview would change. */
	async declaredInputs(): Promise<Map<string, Properties>> {
		const { steps } = JSON.parse(await this.#run(["preview", "--json"])) as {
			steps: { urn: string; newState?: { inputs?: Properties } }[];
		};
		return new Map(steps.map(({ urn, newState }) => [urn, newState?.inputs ?? {}]));
	}

	/** Forgets the stack; its objects and its settings file stay. */
	async forget(): Promise<void> {
		await this.#run(["stack", "rm", "--yes", "--force", "--preserve-config"]);
	}

	#run(args: readonly string[], input = ""): Promise<string> {
		const { project, identity } = this.#context;
		this.#signal?.throwIfAborted();
		const child = spawn("pulumi", [...args, "--stack", identity.stack, "--non-interactive"], {
			cwd: project,
			env: { ...process.env, ...pulumiEnvironment(project) },
			stdio: ["pipe", "pipe", "pipe"],
			// Ctrl-C reaches the whole process group; a command that writes the record comes to its end.
			detached: true,
		});
		const output = { stdout: "", stderr: "" };
		for (const stream of ["stdout", "stderr"] as const) {
			child[stream].setEncoding("utf8").on("data", (text: string) => {
				output[stream] += text;
			});
		}
		child.stdin.on("error", () => {});
		child.stdin.end(input);
		return new Promise((resolve, reject) => {
			child.once("error", reject);
			child.once("close", (code) => {
				if (code === 0) resolve(output.stdout);
				else reject(new EngineError(`pulumi ${args.slice(0, 2).join(" ")} failed: ${output.stderr.trim()}`));
			});
		});
	}
}
