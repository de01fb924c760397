import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeDurably } from "../../recovery/durable-file.ts";
import type { Plan } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { LocalEngine } from "../local/local-engine.ts";
import { readPassphrase } from "../local/passphrase.ts";
import { providers } from "../local/providers/index.ts";
import { State, stateFile } from "../local/state.ts";
import { PulumiEngine } from "../pulumi/pulumi-engine.ts";
import { PulumiStack } from "../pulumi/pulumi-stack.ts";
import type { StackContext } from "../stack-context.ts";
import { emptied, refuseUnfinished, toLocalResources } from "./deployments.ts";
import type { HandoverJournal } from "./journal.ts";
import { type HandoverOptions, type HandoverWay, keptFile, recordEngine, refusePending } from "./way.ts";

/** From Pulumi to the local engine. The Pulumi stack stays, with nothing in it: a destroy of it finds no object. */
export class HandoverToLocal implements HandoverWay {
	readonly #context: StackContext;
	readonly #options: HandoverOptions;
	readonly #pulumi: PulumiStack;

	constructor(context: StackContext, options: HandoverOptions) {
		this.#context = context;
		this.#options = options;
		this.#pulumi = new PulumiStack(context, options.signal);
	}

	async prepare(): Promise<Pick<HandoverJournal, "created">> {
		const { stack } = this.#context.identity;
		const { resources = [], pending_operations: pending = [] } = (await this.#export())?.deployment ?? {};
		if (resources.length === 0) {
			throw new EngineError(
				`Pulumi has made nothing of stack ${stack}, so there is nothing to hand over. Begin with the local engine: ./docker-dev.sh -s ${stack} --engine local up`,
			);
		}
		const interrupted = pending.map(({ resource }) => resource.urn);
		refuseUnfinished(resources, interrupted, { stack, engine: "pulumi" });
		const foreign = resources.filter(
			({ custom, type }) => custom && !type.startsWith("pulumi:providers:") && !(type in providers),
		);
		if (foreign.length > 0) {
			const types = [...new Set(foreign.map(({ type }) => type))].join(", ");
			throw new EngineError(
				`the local engine cannot apply ${types}, which stack ${stack} has; nothing was changed. Stay with Pulumi, or remove them first: change the settings that ask for them and run up.`,
			);
		}
		await refusePending(this.#context, new PulumiEngine(this.#context), this.#options);
		return { created: false };
	}

	async attempt(): Promise<Plan> {
		const { onProgress, signal } = this.#options;
		const exported = await this.#export();
		onProgress("giving the local engine the record of the stack's objects");
		const trial = this.#trialDirectory;
		await mkdir(trial, { recursive: true, mode: 0o700 });
		const state = await State.open(stateFile(trial), readPassphrase(this.#context.project));
		const resources = await toLocalResources(exported?.deployment.resources ?? [], {
			stateDirectory: this.#context.directories.state,
		});
		for (const resource of resources) state.put(resource);
		onProgress("asking the local engine what it would change");
		const directories = { ...this.#context.directories, state: trial };
		return await new LocalEngine({ ...this.#context, directories }).preview({ signal });
	}

	async undo(): Promise<void> {
		await rm(this.#trialDirectory, { recursive: true, force: true });
	}

	async finish({ startedAt }: HandoverJournal): Promise<string> {
		const { state } = this.#context.directories;
		const kept = keptFile(this.#context, "pulumi", startedAt);
		// Secrets stay encrypted in it, by Pulumi.
		const record = await this.#pulumi.export();
		if (record && !existsSync(kept)) await writeDurably(kept, `${JSON.stringify(record, undefined, "\t")}\n`);
		const trial = stateFile(this.#trialDirectory);
		if (existsSync(trial)) await rename(trial, stateFile(state));
		await recordEngine(this.#context, "local");
		if (record) await this.#pulumi.import(emptied(record));
		await this.undo();
		return kept;
	}

	#export() {
		return this.#pulumi.export({ showSecrets: true });
	}

	get #trialDirectory(): string {
		return join(this.#context.directories.state, "handover");
	}
}
