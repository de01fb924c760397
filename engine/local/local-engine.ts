import { readFileSync } from "node:fs";
import { readDockerHost } from "../../components/docker-host.ts";
import { appliedBy } from "../../components/engine-in-use.ts";
import { ownerOf } from "../../components/identity.ts";
import type { Engine, EngineEvent, Plan, RunOptions, Step, UpOptions, UpResult } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { type StackContext, stackFile } from "../stack-context.ts";
import { Deployment, protectedMessage } from "./deployment.ts";
import { refuseForeignTypes } from "./foreign-types.ts";
import { startMonitor } from "./monitor.ts";
import { readPassphrase } from "./passphrase.ts";
import { startProgram } from "./program.ts";
import { providers } from "./providers/index.ts";
import { decryptSettings } from "./secret-settings.ts";
import { State, stateFile } from "./state.ts";
import { nameOf } from "./urn.ts";
import { type Properties, plainProperties } from "./values.ts";

/**
 * Applies the program where Pulumi is not to be had: the same program, against Pulumi's own protocol, with the
 * Docker API behind it. Covers exactly the resource types of this program.
 */
export class LocalEngine implements Engine {
	readonly name = "local";
	readonly #context: StackContext;

	constructor(context: StackContext) {
		this.#context = context;
	}

	async preview(options: UpOptions = {}): Promise<Plan> {
		const state = await this.#openState();
		await refuseForeignContainers(this.#context, state);
		const drift = options.refresh ? await findDrift(state) : new Map();
		return (await this.#run(state, { ...options, dryRun: true, drift })).plan;
	}

	async up(options: UpOptions = {}): Promise<UpResult> {
		const state = await this.#openState();
		await refuseForeignContainers(this.#context, state);
		const drift = options.refresh ? await findDrift(state) : new Map();
		const planned = await this.#run(state, { ...quiet(options), dryRun: true, drift });
		refuseForeignTypes(planned.plan, this.#context.identity.stack);
		await options.approve?.(planned.plan);
		if (planned.plan.every((step) => step.operation === "same") && !planned.changesRecords) {
			return { plan: planned.plan, outputs: planned.outputs };
		}
		const approved = new Set(planned.plan.map(destructionOf));
		const permit = (step: Step) => {
			if (approved.has(destructionOf(step))) return;
			// What is not declared any more may have to go earlier, with something that it depends on.
			if (step.operation === "replace" && approved.has(destructionOf({ ...step, operation: "delete" })))
				return;
			throw new EngineError(
				`${step.operation} of ${step.name} was not in the plan; it was left as it is. Run up again.`,
			);
		};
		const done = await this.#run(state, { ...options, dryRun: false, drift, permit });
		return { plan: done.plan, outputs: done.outputs };
	}

	async destroy(options: UpOptions = {}): Promise<Plan> {
		const state = await this.#openState();
		const guarded = state.resources.filter((resource) => resource.protect);
		if (guarded.length > 0)
			throw new EngineError(protectedMessage(guarded.map((resource) => nameOf(resource.urn))));
		const deploymentOptions = {
			stack: this.#context.identity.stack,
			drift: new Map(),
			onEvent: options.onEvent ?? ignore,
			signal: options.signal,
			permit: () => {},
		};
		const rehearsal = new Deployment(state, { ...deploymentOptions, dryRun: true });
		await rehearsal.finish();
		await options.approve?.(rehearsal.plan);
		const deployment = new Deployment(state, { ...deploymentOptions, dryRun: false });
		await deployment.finish();
		return deployment.plan;
	}

	async #openState(): Promise<State> {
		const file = stateFile(this.#context.directories.state);
		return await State.open(file, readPassphrase(this.#context.project));
	}

	async #secretSettings(): Promise<Record<string, string>> {
		const { project, identity } = this.#context;
		const file = stackFile(project, identity.stack);
		return await decryptSettings(file, readFileSync(file, "utf8"), () => readPassphrase(project));
	}

	async #run(
		state: State,
		run: RunOptions & {
			dryRun: boolean;
			drift: ReadonlyMap<string, Properties | undefined>;
			permit?: (step: Step) => void;
		},
	): Promise<Pick<Deployment, "plan" | "outputs" | "changesRecords">> {
		const onEvent = run.onEvent ?? ignore;
		const secrets = await this.#secretSettings();
		const deployment = new Deployment(state, {
			stack: this.#context.identity.stack,
			dryRun: run.dryRun,
			drift: run.drift,
			onEvent,
			signal: run.signal,
			permit: run.permit ?? (() => {}),
		});
		const errors: string[] = [];
		const underWay = new Set<Promise<unknown>>();
		let fail: (error: unknown) => void = () => {};
		const failure = new Promise<never>((_resolve, reject) => {
			fail = reject;
		});
		failure.catch(() => {});
		let complete: (exitCode: number) => void = () => {};
		const completion = new Promise<number>((resolve) => {
			complete = resolve;
		});
		let failed = false;

		const monitor = await startMonitor({
			register: (registration) => {
				// After a failure nothing new is begun: the program waits for an answer until it is ended.
				if (failed) return new Promise(() => {});
				const result = deployment.register(registration);
				underWay.add(result);
				return result
					.finally(() => underWay.delete(result))
					.catch((error) => {
						failed = true;
						fail(error);
						return new Promise(() => {});
					});
			},
			registerOutputs: (urn, outputs) => deployment.registerOutputs(urn, outputs),
			complete: () => complete(0),
			log: (severity, message) => {
				if (severity === "error") errors.push(message);
				else if (severity !== "debug") onEvent({ kind: "message", severity, text: message });
			},
		});
		const lines: string[] = [];
		const program = startProgram({
			context: this.#context,
			secrets,
			address: monitor.address,
			dryRun: run.dryRun,
			onLine: (line) => lines.push(line),
		});
		const aborted = () => {
			failed = true;
			fail(run.signal?.reason);
		};
		run.signal?.addEventListener("abort", aborted, { once: true });
		try {
			const code = await Promise.race([completion, program.ended, failure]);
			if (code !== 0) throw new EngineError(programFailure(errors, lines));
			await deployment.finish();
			return deployment;
		} finally {
			run.signal?.removeEventListener("abort", aborted);
			// What is under way comes to its end and is recorded, whatever happens.
			await Promise.allSettled(underWay);
			program.kill();
			monitor.close();
		}
	}
}

/**
 * A stack that runs here and of which this state knows nothing was applied from another directory. Applied from
 * here as well, its volumes would belong to both states, and a destroy of one would take them from the other.
 */
async function refuseForeignContainers({ identity, directories }: StackContext, state: State): Promise<void> {
	if (state.resources.length > 0 || state.interrupted.size > 0) return;
	// The program's own guard says whose they are.
	if (appliedBy(directories.state)) return;
	const { containers } = await readDockerHost();
	const foreign = containers.filter(({ owner }) => owner === ownerOf(identity.stack)).map(({ name }) => name);
	if (foreign.length === 0) return;
	throw new EngineError(
		`stack ${identity.stack} runs on this host already, applied from another directory (${foreign.join(", ")}); nothing was changed. Go on there. If that directory is lost, remove the containers, which leaves the volumes and their data (docker rm -f ${foreign.join(" ")}), and run up again; or choose another stack.`,
	);
}

function ignore(_event: EngineEvent): void {}

function quiet(options: UpOptions): UpOptions {
	return { ...options, onEvent: ignore };
}

/** A deletion and a replacement are what a plan must have named before they may happen. */
function destructionOf(step: Step): string {
	return `${step.operation} ${step.urn}`;
}

/** Compares the state with what really exists. */
async function findDrift(state: State): Promise<Map<string, Properties | undefined>> {
	const drift = new Map<string, Properties | undefined>();
	await Promise.all(
		state.resources.map(async (resource) => {
			const provider = providers[resource.type];
			if (!provider || resource.delete) return;
			const found = await provider.read(resource.id ?? "", plainProperties(resource.outputs));
			if (!found) drift.set(resource.urn, undefined);
			else if (found.drift) drift.set(resource.urn, found.drift);
		}),
	);
	return drift;
}

function programFailure(errors: readonly string[], lines: readonly string[]): string {
	return (errors.length > 0 ? errors : lines).join("\n").trim() || "the program ended without saying why";
}
