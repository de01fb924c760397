import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import type { Plan } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { LocalEngine } from "../local/local-engine.ts";
import { readPassphrase } from "../local/passphrase.ts";
import { State, stateFile } from "../local/state.ts";
import { isObject } from "../local/values.ts";
import { PulumiEngine } from "../pulumi/pulumi-engine.ts";
import { PulumiStack } from "../pulumi/pulumi-stack.ts";
import type { StackContext } from "../stack-context.ts";
import { emptied, refuseUnfinished, toPulumiDeployment } from "./deployments.ts";
import type { HandoverJournal } from "./journal.ts";
import {
	type HandoverOptions,
	type HandoverWay,
	keptFile,
	recordEngine,
	refusePending,
	restoreSettings,
} from "./way.ts";

/** From the local engine to Pulumi. */
export class HandoverToPulumi implements HandoverWay {
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
		const { resources, interrupted } = await this.#openState();
		if (resources.length === 0 && interrupted.size === 0) {
			throw new EngineError(
				`the local engine has made nothing of stack ${stack}, so there is nothing to hand over. Begin with Pulumi: ./docker-dev.sh -s ${stack} --engine pulumi up`,
			);
		}
		refuseUnfinished(resources, [...interrupted], { stack, engine: "local" });
		await refusePending(this.#context, new LocalEngine(this.#context), this.#options);
		const existing = await this.#pulumi.export();
		const others = existing?.deployment.resources ?? [];
		if (others.length > 0) {
			throw new EngineError(
				`Pulumi has a stack ${stack} with ${others.length} resources already, and a handover would overwrite its record; nothing was changed. See what it is: pulumi stack --stack ${stack}. If its objects are gone or are not yours to manage, let Pulumi forget it: pulumi stack rm --force --preserve-config ${stack}`,
			);
		}
		return { created: existing === undefined };
	}

	async attempt({ created }: HandoverJournal): Promise<Plan> {
		const { onProgress, signal } = this.#options;
		if (created) await this.#pulumi.init();
		const empty = await this.#pulumi.export();
		if (!empty) throw new EngineError("Pulumi does not find the stack that it has just made");
		const { resources } = await this.#openState();
		const give = (digests: ReadonlyMap<string, string>) =>
			this.#pulumi.import(
				toPulumiDeployment(empty, resources, { stateDirectory: this.#context.directories.state, digests }),
			);
		onProgress("giving Pulumi the record of the stack's objects");
		await give(new Map());
		await give(await this.#contextDigests());
		onProgress("letting Pulumi read the objects as they are");
		await this.#pulumi.refresh();
		onProgress("asking Pulumi what it would change");
		return await new PulumiEngine(this.#context).preview({ signal });
	}

	/** The sources are those that the images were made of: the local engine has just compared them. */
	async #contextDigests(): Promise<Map<string, string>> {
		const declared = await this.#pulumi.declaredInputs();
		return new Map(
			[...declared].flatMap(([urn, { build }]) => {
				const digest = isObject(build) ? build.contextDigest : undefined;
				return typeof digest === "string" ? [[urn, digest]] : [];
			}),
		);
	}

	async undo({ created, settings }: HandoverJournal): Promise<void> {
		const now = await this.#pulumi.export();
		if (now && created) await this.#pulumi.forget();
		else if (now) await this.#pulumi.import(emptied(now));
		await restoreSettings(this.#context, settings);
	}

	async finish({ startedAt }: HandoverJournal): Promise<string> {
		const { state } = this.#context.directories;
		const kept = keptFile(this.#context, "local", startedAt);
		if (existsSync(stateFile(state))) await rename(stateFile(state), kept);
		await recordEngine(this.#context, "pulumi");
		return kept;
	}

	async #openState(): Promise<State> {
		const { project, directories } = this.#context;
		return await State.open(stateFile(directories.state), readPassphrase(project));
	}
}
