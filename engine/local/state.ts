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
	writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Crypter, openCrypter } from "./passphrase.ts";
import { isObject, isSecret, type Properties, plain, secret, transform, type Value } from "./values.ts";

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
	readonly #pending = new Map<string, Resource>();

	private constructor(file: string, crypter: Crypter, resources: Resource[], interrupted: string[]) {
		this.#file = file;
		this.#crypter = crypter;
		this.#resources = new Map(resources.map((resource) => [keyOf(resource), resource]));
		this.interrupted = new Set(interrupted);
	}

	/** Opens the state of a stack; an empty one where there is no file. */
	static async open(file: string, passphrase: string): Promise<State> {
		const text = existsSync(file) ? readFileSync(file, "utf8") : undefined;
		const { deployment } = text ? (JSON.parse(text) as Deployment) : { deployment: undefined };
		const crypter = await openCrypter(passphrase, deployment?.secrets_providers.state.salt);
		const resources = (deployment?.resources ?? []).map((resource) => ({
			...resource,
			inputs: decryptAll(crypter, resource.inputs ?? {}),
			outputs: decryptAll(crypter, resource.outputs ?? {}),
		}));
		const interrupted = (deployment?.pending_operations ?? []).map((operation) => operation.resource.urn);
		return new State(file, crypter, resources, interrupted);
	}

	/** Resources in an order in which each comes after what it depends on. */
	get resources(): Resource[] {
		return [...this.#resources.values()];
	}

	get(urn: string): Resource | undefined {
		return this.#resources.get(urn);
	}

	/** Notes that a creation begins, so that what a kill leaves behind is known as this stack's. */
	begin(resource: Resource): void {
		this.#pending.set(resource.urn, resource);
		this.#save();
	}

	/** Records a resource as it is now, at the end of the order. Nothing is written when nothing has changed. */
	put(resource: Resource): void {
		const before = this.#resources.get(keyOf(resource));
		const changed = this.#pending.delete(resource.urn) || !before || different(before, resource);
		this.#resources.delete(keyOf(resource));
		this.#resources.set(keyOf(resource), changed ? resource : before);
		if (changed) this.#save();
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
				const known = sealedTexts.get(text) ?? this.#crypter.encrypt(text);
				sealedTexts.set(text, known);
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

function different(before: Resource, after: Resource): boolean {
	const timeless = ({ created: _created, modified: _modified, ...rest }: Resource) => JSON.stringify(rest);
	return timeless(before) !== timeless(after);
}

/** Ciphertexts of the secrets seen by this process. */
const sealedTexts = new Map<string, string>();

function withoutValue({ value: _, ...rest }: Properties): Properties {
	return rest;
}

function decryptAll(crypter: Crypter, properties: Properties): Properties {
	return transform(properties, (part) => {
		if (!isObject(part) || !isSecret(part) || typeof part.ciphertext !== "string") return undefined;
		const text = crypter.decrypt(part.ciphertext);
		sealedTexts.set(text, part.ciphertext);
		return secret(JSON.parse(text) as Value);
	}) as Properties;
}

function writeAtomically(file: string, text: string): void {
	mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
	const draft = `${file}.partial`;
	const descriptor = openSync(draft, "w", 0o600);
	try {
		writeSync(descriptor, text);
		fsyncSync(descriptor);
	} finally {
		closeSync(descriptor);
	}
	renameSync(draft, file);
}

export function stateFile(stateDirectory: string): string {
	return join(stateDirectory, "state.json");
}
