/**
 * A stack's record in the forms of the two engines. Both are Pulumi's deployment format; they differ in how secrets
 * are sealed, and in what each engine's providers note beside the inputs.
 */
import { type EngineName, engineRecordFile } from "../../components/engine-in-use.ts";
import { type ContextSource, contextDigest } from "../../images/context.ts";
import { EngineError } from "../errors.ts";
import type { Resource } from "../local/state.ts";
import { nameOf } from "../local/urn.ts";
import {
	isObject,
	isSecret,
	type Properties,
	plain,
	secret,
	transform,
	type Value,
} from "../local/values.ts";

/** What `pulumi stack export` prints and `pulumi stack import` reads. */
export interface PulumiDeployment {
	readonly version: number;
	readonly deployment: {
		/** How Pulumi encrypts the stack's secrets. */
		readonly secrets_providers?: Readonly<Record<string, unknown>>;
		readonly resources?: readonly Resource[];
		readonly pending_operations?: readonly { readonly resource: Resource }[];
		readonly [other: string]: unknown;
	};
}

/** An image that is built here. */
export const imageType = "docker:index/image:Image";

/** The deployment without its objects. */
export function emptied({ version, deployment }: PulumiDeployment): PulumiDeployment {
	return { version, deployment: { ...deployment, resources: [], pending_operations: [] } };
}

/**
 * What Pulumi's providers note of an object that they made, besides its inputs, and never read from it again; by
 * type. Where it is missing, they plan a change.
 */
const providerNotes: Readonly<Record<string, (inputs: Properties) => Properties>> = {
	"docker:index/container:Container": () => ({
		attach: false,
		logs: false,
		start: true,
		removeVolumes: true,
		containerReadRefreshTimeoutMilliseconds: 15_000,
	}),
	"random:index/randomPassword:RandomPassword": () => ({ id: "none" }),
	[imageType]: (inputs) => ({ __inputs: secret(inputs) }),
};

/**
 * The deployment for `pulumi stack import`, secrets in plain.
 *
 * @param empty what Pulumi exports of the stack: its format and its way to encrypt secrets are kept.
 * @param digests what Pulumi's provider says of the build contexts, by URN of the image.
 */
export function toPulumiDeployment(
	empty: PulumiDeployment,
	resources: readonly Resource[],
	{ stateDirectory, digests }: { stateDirectory: string; digests: ReadonlyMap<string, string> },
): PulumiDeployment {
	const converted = resources
		.map((resource) => withEngine(resource, stateDirectory, "pulumi"))
		.map((resource) => withDigest(resource, digests.get(resource.urn)))
		.map((resource) => ({
			...resource,
			outputs: { ...resource.outputs, ...providerNotes[resource.type]?.(resource.inputs) },
		}))
		.map((resource) => mapProperties(resource, opened));
	return { ...empty, deployment: { ...empty.deployment, resources: converted } };
}

/** The resources for the local engine's state, out of an export with secrets in plain. */
export async function toLocalResources(
	resources: readonly Resource[],
	{ stateDirectory }: { stateDirectory: string },
): Promise<Resource[]> {
	return await Promise.all(
		resources
			.map((resource) => mapProperties(known(resource), sealed))
			.map((resource) => withEngine(resource, stateDirectory, "local"))
			.map(async (resource) => {
				if (resource.type !== imageType) return resource;
				const image = { ...resource, outputs: { ...resource.inputs, ...resource.outputs } };
				return withDigest(image, await contextDigest(resource.inputs.build as unknown as ContextSource));
			}),
	);
}

/** What the local engine records of a resource; Pulumi records more. */
function known(resource: Resource): Resource {
	const { urn, type, custom, id, parent, provider, dependencies, propertyDependencies } = resource;
	const { protect, retainOnDelete, created, modified, inputs = {}, outputs = {} } = resource;
	return {
		...{ urn, type, custom, id, parent, provider, dependencies, propertyDependencies },
		...{ protect, retainOnDelete, created, modified, inputs, outputs },
	};
}

/** @throws EngineError when the record is one of a run that did not come to its end. */
export function refuseUnfinished(
	resources: readonly Resource[],
	interrupted: readonly string[],
	{ stack, engine }: { stack: string; engine: EngineName },
): void {
	const unfinished = [
		...interrupted,
		...resources.filter((resource) => resource.delete || resource.initErrors?.length).map(({ urn }) => urn),
	];
	if (unfinished.length === 0) return;
	const names = [...new Set(unfinished.map(nameOf))].join(", ");
	throw new EngineError(
		`the last run of the ${engine} engine did not come to its end (${names}); nothing was changed. Finish it first: ./docker-dev.sh -s ${stack} --engine ${engine} up`,
	);
}

function mapProperties(resource: Resource, change: (part: Value) => Value | undefined): Resource {
	const mapped = (properties: Properties) => transform(properties, change) as Properties;
	return { ...resource, inputs: mapped(resource.inputs), outputs: mapped(resource.outputs) };
}

/** A secret as an import takes it: what Pulumi calls its plaintext is JSON. */
function opened(part: Value): Value | undefined {
	if (!isSecret(part)) return undefined;
	const { value = null, ...mark } = part as Properties;
	return { ...mark, plaintext: JSON.stringify(plain(value)) };
}

/**
 * A secret as the local engine has it in memory. What Pulumi's providers add to a program's inputs goes: notes of
 * their own, and the defaults that they list there.
 */
function sealed(part: Value): Value | undefined {
	if (!isObject(part)) return undefined;
	const { plaintext, __defaults: noted }: Properties = part;
	if (isSecret(part)) return secret(transform(JSON.parse(String(plaintext)) as Value, sealed));
	const defaults = Array.isArray(noted) ? noted : [];
	const own = Object.entries<Value>(part).filter(([key]) => !key.startsWith("__") && !defaults.includes(key));
	return Object.fromEntries(own.map(([key, value]) => [key, transform(value, sealed)]));
}

/** Each engine has its own way to tell whether a build's sources have changed. */
function withDigest(resource: Resource, contextDigest: string | undefined): Resource {
	if (contextDigest === undefined) return resource;
	const change = (properties: Properties) => ({
		...properties,
		build: { ...(properties.build as Properties), contextDigest },
	});
	return { ...resource, inputs: change(resource.inputs), outputs: change(resource.outputs) };
}

/** The command that records the engine would, run again, write down the former one. */
function withEngine(resource: Resource, stateDirectory: string, engine: EngineName): Resource {
	const record = engineRecordFile(stateDirectory);
	const change = (part: Value) =>
		isObject(part) && part.RECORD === record ? { ...part, ENGINE: engine } : undefined;
	return resource.type === "command:local:Command" ? mapProperties(resource, change) : resource;
}
