/**
 * The stack's state, in the deployment format of Pulumi (version 3), secrets encrypted. Written after every
 * step: whole to another file, synced, renamed, so that a kill at any moment leaves the old or the new one.
 */
import {
	closeSync,
	existsSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { inDependencyOrder } from "./dependency-order.ts";
import { type Crypter, openCrypter } from "./passphrase.ts";
import {
	canonical,
	isObject,
	isSecret,
	type Properties,
	plain,
	secret,
	transform,
	type Value,
} from "./values.ts";

/** A resource as the deployment format has it; inputs and outputs decrypted in memory. */
export interface Resource {
	urn: string;
	type: string;
	custom: boolean;
	id?: string;
	inputs: Properties;
	outputs: Properties;
	parent?: string;
	/** `<urn>::<id>` of the provider resource. */
	provider?: string;
	dependencies?: string[];
	propertyDependencies?: Record<string, string[]>;
	protect?: boolean;
	retainOnDelete?: boolean;
	/** The old one of two of this URN: its successor exists, it is still to be deleted. */
	delete?: boolean;
	/** Why its creation did not come to a good end; such a resource is replaced by the next up. */
	initErrors?: string[];
	created?: string;
	modified?: string;
}

interface Deployment {
	version: 3;
	deployment: {
		manifest: { time: string; magic: string; version: string };
		secrets_providers: { type: "passphrase"; state: { salt: string } };
		resources: Resource[];
		pending_operations: { resource: Resource; type: "creating" }[];
		metadata: Record<string, never>;
	};
}

export class State {
	readonly #file: string;
	readonly #crypter: Crypter;
	readonly #resources: Map<string, Resource>;
	/** Resources whose creation was under way when an earlier run was killed. */
	readonly interrupted: ReadonlySet<string>;
	/** Creations that are under way, and those of killed runs until somebody comes back to them. */
	readonly #pending: Map<string, Resource>;
	/** Ciphertexts of the secrets seen, by plaintext. */
	readonly #ciphertexts: Map<string, string>;

	private constructor(
		file: string,
		crypter: Crypter,
		ciphertexts: Map<string, string>,
		resources: Resource[],
		interrupted: Resource[],
	) {
		this.#file = file;
		this.#crypter = crypter;
		this.#ciphertexts = ciphertexts;
		this.#resources = new Map(resources.map((resource) => [keyOf(resource), resource]));
		this.#pending = new Map(interrupted.map((resource) => [resource.urn, resource]));
		this.interrupted = new Set(this.#pending.keys());
	}

	/** Opens the state of a stack; an empty one where there is no file. */
	static async open(file: string, passphrase: string): Promise<State> {
		const text = existsSync(file) ? readFileSync(file, "utf8") : undefined;
		const { deployment } = text ? (JSON.parse(text) as Deployment) : { deployment: undefined };
		const crypter = await openCrypter(passphrase, deployment?.secrets_providers.state.salt);
		const ciphertexts = new Map<string, string>();
		const open = (resource: Resource) => ({
			...resource,
			inputs: decryptAll(crypter, ciphertexts, resource.inputs ?? {}),
			outputs: decryptAll(crypter, ciphertexts, resource.outputs ?? {}),
		});
		const resources = (deployment?.resources ?? []).map(open);
		const interrupted = (deployment?.pending_operations ?? []).map(({ resource }) => open(resource));
		return new State(file, crypter, ciphertexts, resources, interrupted);
	}

	/** Resources in an order in which each comes after what it depends on. */
	get resources(): Resource[] {
		return inDependencyOrder([...this.#resources.values()]);
	}

	get(urn: string): Resource | undefined {
		return this.#resources.get(urn);
	}

	/** Notes that a creation begins, so that what a kill leaves behind is known as this stack's. */
	begin(resource: Resource): void {
		this.#pending.set(resource.urn, resource);
		this.#save();
	}

	/** Records a resource as it is now. Nothing is written when nothing has changed. */
	put(resource: Resource): void {
		const before = this.#resources.get(keyOf(resource));
		const changed = this.#pending.delete(resource.urn) || !before || isDifferent(before, resource);
		if (!changed) return;
		this.#resources.set(keyOf(resource), resource);
		this.#save();
	}

	/** The creation came to nothing: no object was made. */
	abandon(urn: string): void {
		this.#pending.delete(urn);
		this.#save();
	}

	remove(resource: Resource): void {
		this.#resources.delete(keyOf(resource));
		this.#save();
	}

	/** Marks a resource whose successor is about to be made under the same URN. */
	condemn(resource: Resource): void {
		this.#resources.delete(keyOf(resource));
		const condemned = { ...resource, delete: true };
		this.#resources.set(keyOf(condemned), condemned);
		this.#save();
	}

	#save(): void {
		const deployment: Deployment = {
			version: 3,
			deployment: {
				manifest: { time: new Date().toISOString(), magic: "", version: "" },
				secrets_providers: { type: "passphrase", state: { salt: this.#crypter.salt } },
				resources: this.resources.map((resource) => this.#sealed(resource)),
				pending_operations: [...this.#pending.values()].map((resource) => ({
					resource: this.#sealed(resource),
					type: "creating",
				})),
				metadata: {},
			},
		};
		writeAtomically(this.#file, `${JSON.stringify(deployment, undefined, "\t")}\n`);
	}

	/** A resource as it is written; unchanged secrets keep their ciphertext, so a state file's diff means something. */
	#sealed(resource: Resource): Resource {
		const seal = (value: Value): Value =>
			transform(value, (part) => {
				if (!isSecret(part)) return undefined;
				const text = JSON.stringify(plain(part.value ?? null));
				const known = this.#ciphertexts.get(text) ?? this.#crypter.encrypt(text);
				this.#ciphertexts.set(text, known);
				return { ...withoutValue(part), ciphertext: known };
			});
		return {
			...resource,
			inputs: seal(resource.inputs) as Properties,
			outputs: seal(resource.outputs) as Properties,
		};
	}
}

function keyOf(resource: Resource): string {
	return resource.delete ? `${resource.urn}::${resource.id}` : resource.urn;
}

/** Whether two records of a resource differ in more than their times and the order of their dependencies. */
export function isDifferent(before: Resource, after: Resource): boolean {
	return essence(before) !== essence(after);
}

function essence(resource: Resource): string {
	const { dependencies = [], propertyDependencies = {} } = resource;
	const sorted = Object.entries(propertyDependencies).map(([property, urns]) => [property, urns.toSorted()]);
	return canonical({
		...resource,
		dependencies: dependencies.toSorted(),
		propertyDependencies: Object.fromEntries(sorted),
		created: null,
		modified: null,
	} as unknown as Value);
}

function withoutValue({ value: _, ...rest }: Properties): Properties {
	return rest;
}

function decryptAll(crypter: Crypter, ciphertexts: Map<string, string>, properties: Properties): Properties {
	return transform(properties, (part) => {
		if (!isObject(part) || !isSecret(part) || typeof part.ciphertext !== "string") return undefined;
		const text = crypter.decrypt(part.ciphertext);
		ciphertexts.set(text, part.ciphertext);
		return secret(JSON.parse(text) as Value);
	}) as Properties;
}

function writeAtomically(file: string, text: string): void {
	mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
	const draft = `${file}.partial`;
	const descriptor = openSync(draft, "w", 0o600);
	try {
		writeFileSync(descriptor, text);
		fsyncSync(descriptor);
	} finally {
		closeSync(descriptor);
	}
	renameSync(draft, file);
}

export function stateFile(stateDirectory: string): string {
	return join(stateDirectory, "state.json");
}
