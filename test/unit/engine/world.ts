/** A world of made-up objects for the local engine: providers that keep them in memory and note what is done. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineEvent, Step } from "../../../engine/engine.ts";
import { Deployment } from "../../../engine/local/deployment.ts";
import type { Registration, RegistrationResult } from "../../../engine/local/monitor.ts";
import type { Provider } from "../../../engine/local/provider.ts";
import { State } from "../../../engine/local/state.ts";
import { isSecret, type Properties, plain, transform, type Value } from "../../../engine/local/values.ts";

/** A resource as a test declares it. */
export interface Declared extends Partial<Omit<Registration, "inputs" | "type" | "name" | "parent">> {
	readonly type: "box" | "single" | "parcel";
	readonly name: string;
	readonly inputs?: Properties;
	/** Inputs that are another resource's output, as property: name of the resource. They depend on it. */
	readonly from?: Readonly<Record<string, string>>;
	readonly version?: string;
}

export interface RunChoices {
	readonly dryRun?: boolean;
	readonly drift?: ReadonlyMap<string, Properties | undefined>;
	readonly signal?: AbortSignal;
	readonly permit?: (step: Step) => void;
	/** Leaves out the deletion of what is not declared, as a run that has failed before does. */
	readonly unfinished?: boolean;
}

export class World {
	/** What was done, in order, such as `create a`. */
	readonly log: string[] = [];
	/** The objects that exist, by id. */
	readonly objects = new Map<string, Properties>();
	/** Names of objects whose creation fails: before anything exists, or when the object is there already. */
	readonly failing = new Map<string, "before" | "after">();
	readonly events: EngineEvent[] = [];
	/** Called before each action; a test may abort here. */
	onAction: (action: string) => void = () => {};
	readonly #directory = mkdtempSync(join(tmpdir(), "world-"));
	#number = 0;

	get stateFile(): string {
		return join(this.#directory, "state.json");
	}

	get stateText(): string {
		return readFileSync(this.stateFile, "utf8");
	}

	dispose(): void {
		rmSync(this.#directory, { recursive: true, force: true });
	}

	openState(): Promise<State> {
		return State.open(this.stateFile, "test");
	}

	/**
	 * - `box`: any change is an update, but for `place`, which replaces it by a new one beside it.
	 * - `single`: the same, but only one of a place can exist: the old one goes first.
	 * - `parcel`: any change replaces it.
	 */
	get providers(): Record<string, Provider> {
		const base = (name: (inputs: Properties) => string) =>
			({
				computed: ["serial"],
				create: async (inputs: Properties, { onExists, interrupted }) => {
					this.#act(`create ${name(inputs)}${interrupted ? " (interrupted before)" : ""}`);
					if (this.failing.get(name(inputs)) === "before") throw new Error(`${name(inputs)} cannot be made`);
					const id = `${name(inputs)}-${++this.#number}`;
					const outputs = { ...inputs, serial: this.#number };
					this.objects.set(id, outputs);
					if (this.failing.get(name(inputs)) === "after") {
						onExists({ id, outputs });
						throw new Error(`${name(inputs)} is not well`);
					}
					return { id, outputs };
				},
				update: async (id: string, _before: Properties, after: Properties) => {
					this.#act(`update ${id}`);
					const outputs = { ...this.objects.get(id), ...after };
					this.objects.set(id, outputs);
					return outputs;
				},
				read: async (id: string, outputs: Properties) => (this.objects.has(id) ? { outputs } : undefined),
				delete: async (id: string) => {
					this.#act(`delete ${id}`);
					if (this.failing.has(id)) throw new Error(`${id} cannot be deleted`);
					this.objects.delete(id);
				},
			}) satisfies Partial<Provider>;
		const named = base((inputs) => String(inputs.name));
		return {
			"test:index:box": { ...named, effect: (property) => (property === "place" ? "replace" : "update") },
			"test:index:single": {
				...named,
				effect: (property) => (property === "place" ? "replace" : "update"),
				deleteBeforeReplace: () => true,
			},
			"test:index:parcel": { ...named, effect: () => "replace" },
		};
	}

	/** One run of a program that declares these resources, in this order. */
	async run(declared: readonly Declared[], choices: RunChoices = {}): Promise<Deployment> {
		const deployment = new Deployment(await this.openState(), {
			stack: "dev",
			dryRun: choices.dryRun ?? false,
			drift: choices.drift ?? new Map(),
			onEvent: (event) => this.events.push(event),
			signal: choices.signal,
			permit: choices.permit ?? (() => {}),
			providers: this.providers,
		});
		const results = new Map<string, RegistrationResult>();
		for (const resource of declared) {
			results.set(resource.name, await deployment.register(registrationOf(resource, results)));
		}
		if (!choices.unfinished) await deployment.finish();
		return deployment;
	}

	/** A run, with the names of what it did in place of everything else. */
	async did(declared: readonly Declared[], choices: RunChoices = {}): Promise<string[]> {
		this.log.length = 0;
		await this.run(declared, choices);
		return [...this.log];
	}

	/** The plan of a dry run, as `operation name`. */
	async plan(declared: readonly Declared[], choices: RunChoices = {}): Promise<string[]> {
		const { plan } = await this.run(declared, { ...choices, dryRun: true });
		return plan.map(({ operation, name }) => `${operation} ${name}`);
	}

	#act(action: string): void {
		this.onAction(action);
		this.log.push(action);
	}
}

function registrationOf(
	{ type, name, inputs = {}, from = {}, ...options }: Declared,
	results: ReadonlyMap<string, RegistrationResult>,
): Registration {
	const taken = Object.entries(from).map(([property, source]): [string, Value, string] => {
		const result = results.get(source);
		if (!result) throw new Error(`${name} needs ${source}, which is declared later`);
		return [property, result.outputs[property] ?? null, result.urn];
	});
	const dependsOn = [...(options.dependencies ?? []), ...taken.map(([, , urn]) => urn)];
	return {
		custom: true,
		protect: false,
		retainOnDelete: false,
		deleteBeforeReplace: false,
		ignoreChanges: [],
		replaceOnChanges: [],
		version: "1.0.0",
		...options,
		type: `test:index:${type}`,
		name,
		parent: "",
		inputs: {
			name,
			...inputs,
			...Object.fromEntries(taken.map(([property, value]) => [property, unsealed(value)])),
		},
		dependencies: [...new Set(dependsOn)],
		propertyDependencies: Object.fromEntries(taken.map(([property, , urn]) => [property, [urn]])),
	};
}

function unsealed(value: Value): Value {
	return transform(value, (part) => (isSecret(part) ? plain(part) : undefined));
}

export function urnOf(type: Declared["type"], name: string): string {
	return `urn:pulumi:dev::persistent-stack::test:index:${type}::${name}`;
}
