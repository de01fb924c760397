import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import type { EngineEvent as PulumiEvent, Stack } from "@pulumi/pulumi/automation/index.js";
import { programDirectory } from "../../components/directories.ts";
import type { Engine, Plan, RunOptions, Step, UpOptions, UpResult } from "../engine.ts";
import { EngineError, UnreachableError } from "../errors.ts";
import { passphraseFile, readPassphrase } from "../local/passphrase.ts";
import type { StackContext } from "../stack-context.ts";
import { diagnosticText, finishedStep, stepOf } from "./plan-events.ts";

/** Whether there is a `pulumi` on the PATH. */
export function isPulumiInstalled(): boolean {
	return (process.env.PATH ?? "").split(delimiter).some((directory) => {
		try {
			accessSync(join(directory, "pulumi"), constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

/** @throws UnreachableError when there is no `pulumi` on the PATH. */
export function requirePulumi(): void {
	if (isPulumiInstalled()) return;
	throw new UnreachableError(
		"there is no pulumi on the PATH; nothing was changed. Install it, or go on with the local engine (--engine local).",
	);
}

/** Applies the program with Pulumi, through its Automation API. */
export class PulumiEngine implements Engine {
	readonly name = "pulumi";
	readonly #context: StackContext;

	constructor(context: StackContext) {
		this.#context = context;
	}

	async preview(options: UpOptions = {}): Promise<Plan> {
		const run = new Run(options);
		const stack = await this.#selectStack();
		await run.finish(stack.preview({ refresh: options.refresh, ...run.handlers }));
		return run.plan;
	}

	async up(options: UpOptions = {}): Promise<UpResult> {
		const stack = await this.#selectStack();
		// Pulumi could hold the run to the plan (--plan), but a violation prints secrets in clear, seen on 3.255.
		const planned = new Run({ signal: options.signal });
		await planned.finish(stack.preview({ refresh: options.refresh, ...planned.handlers }));
		await options.approve?.(planned.plan);
		const run = new Run(options);
		const result = await run.finish(stack.up({ refresh: options.refresh, ...run.handlers }));
		return {
			plan: run.plan,
			outputs: Object.fromEntries(Object.entries(result.outputs).map(([key, { value }]) => [key, value])),
		};
	}

	async destroy(options: UpOptions = {}): Promise<Plan> {
		const stack = await this.#selectStack();
		const planned = new Run({ signal: options.signal });
		await planned.finish(stack.previewDestroy(planned.handlers));
		await options.approve?.(planned.plan);
		const run = new Run(options);
		await run.finish(stack.destroy(run.handlers));
		return run.plan;
	}

	async #selectStack(): Promise<Stack> {
		requirePulumi();
		const { LocalWorkspace } = await import("@pulumi/pulumi/automation/index.js");
		const { project, identity, directories } = this.#context;
		mkdirSync(directories.state, { recursive: true, mode: 0o700 });
		return await LocalWorkspace.createOrSelectStack(
			{ stackName: identity.stack, workDir: project },
			{ envVars: pulumiEnvironment(project) },
		);
	}
}

/** One command of the Automation API, its events turned into steps. */
class Run {
	readonly plan: Step[] = [];
	readonly #errors: string[] = [];
	readonly #started = new Map<string, number>();
	readonly #options: RunOptions;

	constructor(options: RunOptions) {
		this.#options = options;
	}

	/** Options that every command takes. */
	get handlers() {
		return {
			onEvent: (event: PulumiEvent) => this.#take(event),
			signal: this.#options.signal,
			color: "never" as const,
		};
	}

	async finish<T>(command: Promise<T>): Promise<T> {
		try {
			return await command;
		} catch (error) {
			this.#options.signal?.throwIfAborted();
			const text = this.#errors.join("\n") || (error as Error).message;
			throw new EngineError(text, { cause: error });
		}
	}

	#take(event: PulumiEvent): void {
		const report = this.#options.onEvent ?? (() => {});
		const diagnostic = diagnosticText(event);
		if (diagnostic) {
			if (diagnostic.severity === "error") this.#errors.push(diagnostic.text);
			else if (/^(info|warning)/.test(diagnostic.severity)) {
				const severity = diagnostic.severity.startsWith("warning") ? "warning" : "info";
				report({ kind: "message", severity, text: diagnostic.text });
			}
		}
		const before = event.resourcePreEvent && stepOf(event.resourcePreEvent.metadata);
		if (before) {
			this.plan.push(before);
			this.#started.set(before.urn, Date.now());
			if (before.operation !== "same") report({ kind: "started", step: before });
		}
		const after = event.resOutputsEvent && finishedStep(event.resOutputsEvent.metadata);
		if (after && after.operation !== "same") {
			const seconds = (Date.now() - (this.#started.get(after.urn) ?? Date.now())) / 1000;
			report({ kind: "finished", step: after, seconds });
		}
		const failed = event.resOpFailedEvent && stepOf(event.resOpFailedEvent.metadata);
		if (failed) report({ kind: "failed", step: failed, message: this.#errors.at(-1) ?? "" });
	}
}

/**
 * Environment for Pulumi: this project's Node first on the PATH; where nobody is logged in anywhere, state
 * and passphrase in `.stack`.
 */
export function pulumiEnvironment(project: string): Record<string, string> {
	const environment: Record<string, string> = {
		PATH: [join(programDirectory, "node_modules", ".bin"), process.env.PATH].join(delimiter),
		PULUMI_SKIP_UPDATE_CHECK: "true",
	};
	if (!process.env.PULUMI_BACKEND_URL && !isLoggedIn()) {
		const state = join(project, ".stack", "pulumi");
		mkdirSync(state, { recursive: true, mode: 0o700 });
		environment.PULUMI_BACKEND_URL = `file://${state}`;
	}
	if (!process.env.PULUMI_CONFIG_PASSPHRASE && !process.env.PULUMI_CONFIG_PASSPHRASE_FILE) {
		readPassphrase(project);
		environment.PULUMI_CONFIG_PASSPHRASE_FILE = passphraseFile(project);
	}
	return environment;
}

function isLoggedIn(): boolean {
	const home = process.env.PULUMI_HOME ?? join(homedir(), ".pulumi");
	const file = join(home, "credentials.json");
	if (!existsSync(file)) return false;
	return Boolean((JSON.parse(readFileSync(file, "utf8")) as { current?: string }).current);
}
