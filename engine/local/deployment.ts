/**
 * One run of the program: takes what it declares, works out what that means for each object, and does it, or
 * in a dry run only says it.
 */
import { performance } from "node:perf_hooks";
import type { Difference, EngineEvent, Operation, Step } from "../engine.ts";
import { EngineError } from "../errors.ts";
import { findDifferences, withUnknown } from "./differences.ts";
import { applyWithPulumi, isForPulumiAlone } from "./foreign-types.ts";
import type { Registration, RegistrationResult } from "./monitor.ts";
import type { Provider, ProviderContext } from "./provider.ts";
import { providers } from "./providers/index.ts";
import { isDifferent, type Resource, type State } from "./state.ts";
import { makeUrn, nameOf, stackType } from "./urn.ts";
import {
	canonical,
	containsSecret,
	containsUnknown,
	type Properties,
	plainProperties,
	secret,
	unknownValue,
	type Value,
} from "./values.ts";

export interface DeploymentOptions {
	readonly stack: string;
	readonly dryRun: boolean;
	/** Inputs that really differ from what was applied, by URN; `undefined` where the object is gone. */
	readonly drift: ReadonlyMap<string, Properties | undefined>;
	readonly onEvent: (event: EngineEvent) => void;
	readonly signal: AbortSignal | undefined;
	/** Called before an object is deleted or replaced; throws to prevent it. */
	readonly permit: (step: Step) => void;
	/** Providers by resource type. @default those of this program */
	readonly providers?: Readonly<Record<string, Provider>>;
}

/** What becomes of one object: the step, and what it takes to carry it out. */
interface Decision {
	readonly step: Step;
	readonly provider: Provider;
	readonly old: Resource | undefined;
	/** The resource as it will be recorded, but for its id and outputs. */
	readonly resource: Resource;
	readonly oldFirst: boolean;
}

export class Deployment {
	readonly plan: Step[] = [];
	outputs: Properties = {};
	/** Whether something is to be recorded that changes no object, such as the protection of a volume. */
	changesRecords = false;
	readonly #providers: Readonly<Record<string, Provider>>;
	readonly #state: State;
	readonly #options: DeploymentOptions;
	readonly #seen = new Set<string>();
	/** Deleted beforehand, because something that they depend on is deleted and made anew. */
	readonly #cascaded = new Map<string, Resource>();
	readonly #providerReferences = new Map<string, string>();

	constructor(state: State, options: DeploymentOptions) {
		this.#state = state;
		this.#options = options;
		this.#providers = options.providers ?? providers;
	}

	/** Brings about one declared resource. */
	async register(registration: Registration): Promise<RegistrationResult> {
		const urn = makeUrn(this.#options.stack, registration.type, registration.name, registration.parent);
		if (this.#seen.has(urn))
			throw new EngineError(`the program declares ${registration.name} twice (${urn})`);
		this.#seen.add(urn);
		if (!registration.custom) return this.#recordComponent(urn, registration);
		const provider = this.#providerOf(registration);
		const decision = await this.#decide(urn, registration, provider);
		this.plan.push(decision.step);
		this.#noteChange(decision.resource);
		if (this.#options.dryRun) {
			this.#foreseeCascade(decision);
			return { urn, id: decision.old?.id, outputs: foreseen(decision) };
		}
		const applied = await this.#apply(decision);
		return { urn, id: applied.id, outputs: applied.outputs };
	}

	registerOutputs(urn: string, outputs: Properties): void {
		const resource = this.#state.get(urn);
		if (resource?.type === stackType || urn.includes(`::${stackType}::`))
			this.outputs = plainProperties(outputs);
		if (resource && !this.#options.dryRun) this.#state.put({ ...resource, outputs });
	}

	/** Deletes what the program no longer declares, last made first. */
	async finish(): Promise<void> {
		const gone = this.#state.resources.filter((resource) => resource.delete || !this.#seen.has(resource.urn));
		for (const resource of gone.toReversed()) {
			if (resource.type.startsWith("pulumi:providers:") && this.#isProviderUsed(resource)) continue;
			await this.#delete(resource);
		}
	}

	/** Deletes one resource, or forgets it where its object is to stay. */
	async #delete(resource: Resource): Promise<void> {
		const provider = resource.custom ? this.#providers[resource.type] : undefined;
		if (!provider) {
			if (this.#options.dryRun) this.changesRecords = true;
			else this.#state.remove(resource);
			return;
		}
		const step = makeStep(resource.retainOnDelete ? "forget" : "delete", resource);
		this.#permit(step, resource);
		// The second of two objects is part of a replacement that the plan already names.
		if (!resource.delete) this.plan.push(step);
		if (this.#options.dryRun) return;
		await this.#perform(step, async () => {
			if (!resource.retainOnDelete) {
				await provider.delete(
					resource.id ?? "",
					plainProperties(resource.outputs),
					this.#context(resource.urn),
				);
			}
			this.#state.remove(resource);
		});
	}

	#isProviderUsed(provider: Resource): boolean {
		const reference = `${provider.urn}::${provider.id}`;
		return this.#state.resources.some(
			(resource) => resource.provider === reference && this.#seen.has(resource.urn),
		);
	}

	#recordComponent(urn: string, registration: Registration): RegistrationResult {
		const outputs = this.#state.get(urn)?.outputs ?? {};
		const component = { ...this.#declared(urn, registration), inputs: {}, outputs };
		this.#noteChange(component);
		if (!this.#options.dryRun) this.#state.put(component);
		return { urn, outputs: {} };
	}

	#noteChange(resource: Resource): void {
		const recorded = this.#state.get(resource.urn);
		if (!recorded || isDifferent(recorded, resource)) this.changesRecords = true;
	}

	#providerOf({ type, name }: Registration): Provider {
		const provider = this.#providers[type];
		if (provider) return provider;
		// Enough for a preview; whatever it is, Pulumi applies it.
		if (this.#options.dryRun && isForPulumiAlone(type)) return unknownType;
		throw new EngineError(
			`the local engine cannot apply ${name} of type ${type}; nothing of it was changed. ${applyWithPulumi(this.#options.stack)}`,
		);
	}

	async #decide(urn: string, registration: Registration, provider: Provider): Promise<Decision> {
		const { drift } = this.#options;
		const recorded = this.#state.get(urn);
		const old = drift.has(urn) && drift.get(urn) === undefined ? undefined : recorded;
		const declared = await this.#inputs(registration, provider, old ?? this.#cascaded.get(urn));
		const drifted = drift.get(urn);
		const before = old ? { ...old.inputs, ...drifted } : {};
		const differences = old ? findDifferences(provider, before, declared, registration.replaceOnChanges) : [];
		const operation = this.#operation(urn, old, differences);
		const resource: Resource = {
			...this.#declared(urn, registration),
			inputs: declared,
			outputs: old?.outputs ?? {},
			...(old?.id && { id: old.id }),
		};
		const oldFirst =
			registration.deleteBeforeReplace ||
			(provider.deleteBeforeReplace?.(plainProperties(old?.inputs ?? {}), plainProperties(declared)) ??
				false);
		return { step: makeStep(operation, resource, differences), provider, old, resource, oldFirst };
	}

	#operation(urn: string, old: Resource | undefined, differences: readonly Difference[]): Operation {
		if (this.#cascaded.has(urn)) return "replace";
		if (!old) return "create";
		if (old.initErrors?.length || differences.some((difference) => difference.replaces)) return "replace";
		return differences.length > 0 ? "update" : "same";
	}

	async #inputs(
		registration: Registration,
		provider: Provider,
		old: Resource | undefined,
	): Promise<Properties> {
		const declared = { ...registration.inputs };
		for (const property of old ? registration.ignoreChanges : []) {
			const kept = old?.inputs[property];
			if (kept === undefined) delete declared[property];
			else declared[property] = kept;
		}
		if (!provider.check || containsUnknown(declared)) return declared;
		return await provider.check(declared);
	}

	#declared(urn: string, registration: Registration): Omit<Resource, "inputs" | "outputs"> {
		const now = new Date().toISOString();
		return {
			urn,
			type: registration.type,
			custom: registration.custom,
			...(registration.parent && { parent: registration.parent }),
			...(registration.custom && { provider: this.#providerReference(registration) }),
			...(registration.dependencies.length > 0 && { dependencies: registration.dependencies }),
			propertyDependencies: registration.propertyDependencies,
			...(registration.protect && { protect: true }),
			...(registration.retainOnDelete && { retainOnDelete: true }),
			created: this.#state.get(urn)?.created ?? now,
			modified: now,
		};
	}

	/** The default provider of a package, recorded as Pulumi records it. */
	#providerReference({ type, version }: Registration): string {
		const packageName = type.split(":")[0] ?? "";
		const known = this.#providerReferences.get(packageName);
		if (known) return known;
		const name = `default_${version.replaceAll(".", "_")}`;
		const providerType = `pulumi:providers:${packageName}`;
		const urn = makeUrn(this.#options.stack, providerType, name);
		const id = this.#state.get(urn)?.id ?? crypto.randomUUID();
		const properties = { version };
		if (!this.#options.dryRun) {
			this.#state.put({ urn, type: providerType, custom: true, id, inputs: properties, outputs: properties });
		}
		const reference = `${urn}::${id}`;
		this.#providerReferences.set(packageName, reference);
		return reference;
	}

	async #apply(decision: Decision): Promise<Resource> {
		const { step, provider, old, resource } = decision;
		if (step.operation === "same") {
			this.#state.put(resource);
			return resource;
		}
		if (step.operation === "replace" && old) this.#permit(step, old);
		return await this.#perform(step, async () => {
			if (step.operation === "update" && old) {
				const before = plainProperties(old.outputs);
				const context = this.#context(resource.urn);
				const after = plainProperties(resource.inputs);
				const outputs = provider.update
					? await provider.update(old.id ?? "", before, after, context)
					: { ...before, ...after };
				return this.#record(resource, old.id ?? "", outputs);
			}
			if (old && decision.oldFirst) await this.#deleteFirst(old, provider);
			else if (old) this.#state.condemn(old);
			return await this.#create(resource, provider);
		});
	}

	async #create(resource: Resource, provider: Provider): Promise<Resource> {
		this.#state.begin(resource);
		let exists: Resource | undefined;
		try {
			const created = await provider.create(plainProperties(resource.inputs), {
				...this.#context(resource.urn),
				onExists: ({ id, outputs }) => {
					exists = this.#record(resource, id, outputs, ["its creation was interrupted"]);
				},
			});
			return this.#record(resource, created.id, created.outputs);
		} catch (error) {
			if (exists) this.#state.put({ ...exists, initErrors: [(error as Error).message] });
			else this.#state.abandon(resource.urn);
			throw error;
		}
	}

	/** An object that must go before its successor can be made takes along those that cannot do without it. */
	async #deleteFirst(old: Resource, provider: Provider): Promise<void> {
		for (const dependent of this.#dependents(old)) {
			this.#cascaded.set(dependent.urn, dependent);
			this.#permit(makeStep("replace", dependent), dependent);
			if (!dependent.retainOnDelete) {
				await this.#providers[dependent.type]?.delete(
					dependent.id ?? "",
					plainProperties(dependent.outputs),
					this.#context(dependent.urn),
				);
			}
			this.#state.remove(dependent);
		}
		if (!old.retainOnDelete) {
			await provider.delete(old.id ?? "", plainProperties(old.outputs), this.#context(old.urn));
		}
		this.#state.remove(old);
	}

	/** Says in a plan what #deleteFirst will do, so that it is approved with the plan, or refused with it. */
	#foreseeCascade({ step, old, oldFirst }: Decision): void {
		if (step.operation !== "replace" || !old) return;
		this.#permit(step, old);
		for (const dependent of oldFirst ? this.#dependents(old) : []) {
			this.#permit(makeStep("replace", dependent), dependent);
			this.#cascaded.set(dependent.urn, dependent);
		}
	}

	/** Objects that would be replaced if this one were another, last made first. */
	#dependents(target: Resource): Resource[] {
		const found = new Map([[target.urn, target]]);
		for (const resource of this.#state.resources) {
			const provider = this.#providers[resource.type];
			if (!provider || found.has(resource.urn)) continue;
			const affected = Object.entries(resource.propertyDependencies ?? {})
				.filter(([, urns]) => urns.some((urn) => found.has(urn)))
				.map(([property]) => property);
			const differences = findDifferences(
				provider,
				resource.inputs,
				withUnknown(resource.inputs, affected),
				[],
			);
			if (differences.some((difference) => difference.replaces)) found.set(resource.urn, resource);
		}
		found.delete(target.urn);
		return [...found.values()].toReversed();
	}

	#record(resource: Resource, id: string, outputs: Properties, initErrors?: string[]): Resource {
		const recorded = {
			...resource,
			id,
			outputs: seal(resource.inputs, outputs),
			...(initErrors && { initErrors }),
		};
		this.#state.put(recorded);
		return recorded;
	}

	#permit(step: Step, resource: Resource): void {
		if (resource.protect && step.operation !== "same") {
			throw new EngineError(protectedMessage([nameOf(resource.urn)]));
		}
		if (!this.#options.dryRun && !resource.delete) this.#options.permit(step);
	}

	async #perform<T>(step: Step, action: () => Promise<T>): Promise<T> {
		this.#options.signal?.throwIfAborted();
		const started = performance.now();
		this.#options.onEvent({ kind: "started", step });
		try {
			const result = await action();
			this.#options.onEvent({ kind: "finished", step, seconds: (performance.now() - started) / 1000 });
			return result;
		} catch (error) {
			this.#options.onEvent({ kind: "failed", step, message: (error as Error).message });
			throw error;
		}
	}

	#context(urn: string): ProviderContext {
		return {
			interrupted: this.#state.interrupted.has(urn),
			signal: this.#options.signal,
			log: (text) => this.#options.onEvent({ kind: "message", severity: "info", text }),
			onExists: () => {},
		};
	}
}

/** What a refused deletion of protected objects says. */
export function protectedMessage(names: readonly string[]): string {
	return `protected: ${names.join(", ")}. Nothing was deleted. To lift the protection, set removalPolicy: retain or remove in the stack's file and run up, then try again.`;
}

function makeStep(operation: Operation, resource: Resource, differences: readonly Difference[] = []): Step {
	return { operation, urn: resource.urn, type: resource.type, name: nameOf(resource.urn), differences };
}

/** Outputs as far as they are known before anything is done. */
function foreseen({ step, provider, old, resource }: Decision): Properties {
	if (step.operation === "same") return old?.outputs ?? {};
	const computed = Object.fromEntries((provider.computed ?? []).map((property) => [property, unknownValue]));
	const kept = step.operation === "update" ? old?.outputs : {};
	return { ...kept, ...resource.inputs, ...computed };
}

/** What came from a secret stays one. */
function seal(inputs: Properties, outputs: Properties): Properties {
	const hasSecrets = containsSecret(inputs);
	return Object.fromEntries(
		Object.entries(outputs).map(([property, value]): [string, Value] => {
			const input = inputs[property];
			if (input !== undefined && containsSecret(input)) {
				return [
					property,
					canonical(plainProperties({ input }).input) === canonical(value) ? input : secret(value),
				];
			}
			const derived = input === undefined && hasSecrets && !containsSecret(value);
			return [property, derived ? secret(value) : value];
		}),
	);
}

/** A type that only Pulumi applies: everything about it is to be made, and nothing is known of it. */
const unknownType: Provider = {
	effect: () => "update",
	create: () => Promise.reject(new EngineError("not applied by the local engine")),
	read: (_id, outputs) => Promise.resolve({ outputs }),
	delete: () => Promise.resolve(),
};
