/**
 * Runs the stack component in this process against Pulumi's mocks and records every registration as it goes
 * over the wire: inputs with the marks of secrets, and the resource options, which mocks do not show.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import { parse } from "yaml";
import type { AlarmAddresses } from "../../../components/alarm-policy.ts";
import type { BaseImages } from "../../../components/base-images.ts";
import type { VolumeKey } from "../../../components/catalogue.ts";
import { programDirectory, stackDirectories } from "../../../components/directories.ts";
import { parseSettings } from "../../../components/settings.ts";
import type { Properties } from "../../../engine/local/values.ts";
import { plainProperties } from "../../../engine/local/values.ts";

export interface RecordedOptions {
	readonly ignoreChanges: readonly string[];
	readonly replaceOnChanges: readonly string[];
	readonly protect: boolean;
	readonly retainOnDelete: boolean;
	readonly deleteBeforeReplace: boolean;
	/** Id of the existing object that it takes over; empty: it is made. */
	readonly importId: string;
	/** Logical name of the provider it is given; empty: the default one. */
	readonly provider: string;
	/** Logical names of what it explicitly or implicitly depends on. */
	readonly dependencies: readonly string[];
}

export interface Recorded {
	readonly urn: string;
	readonly type: string;
	readonly name: string;
	readonly custom: boolean;
	/** Logical name of the parent; empty at the top. */
	readonly parent: string;
	/** Inputs without the marks of secrets. */
	readonly inputs: Properties;
	/** Inputs with them. */
	readonly wire: Properties;
	readonly options: RecordedOptions;
	/** What `registerOutputs` was called with; undefined when it was not. */
	outputs?: Properties;
}

export interface RecordedStack {
	readonly resources: readonly Recorded[];
	readonly url: string;
	/** The one resource of that logical name. */
	named(name: string): Recorded;
	ofType(type: string): Recorded[];
}

export interface StackUnderTest {
	readonly stack: string;
	/** Settings as a stack file has them, on top of the committed file of `stack`, where there is one. */
	readonly settings?: Readonly<Record<string, string | number | boolean | string[]>>;
	readonly baseImages?: BaseImages;
	readonly existingVolumes?: Partial<Record<VolumeKey, string>>;
	/** Content of the sidecar's credentials file, where the settings name one. */
	readonly offsiteCredentials?: string;
	readonly alarmAddresses?: AlarmAddresses;
}

/** A project that is not on this machine: nothing that the component declares may depend on what is. */
export const project = "/srv/shop";

const fabricatedImages: BaseImages = {
	images: { postgres: "pg:17", redis: "rd:8", nginx: "ng:1", python: "py:3", node: "no:24" },
	caImage: undefined,
};

/** Marks every secret value, so that a leak is found wherever it is. */
export const secretMark = "THE-SECRET-OF";

/** What the committed `Pulumi.<stack>.yaml` says, without the namespace. */
export function committedConfig(stack: string): Record<string, unknown> {
	const file = parse(readFileSync(join(programDirectory, `Pulumi.${stack}.yaml`), "utf8"));
	return Object.fromEntries(
		Object.entries(file.config as Record<string, unknown>).map(([key, value]) => [
			key.replace("persistent-stack:", ""),
			value,
		]),
	);
}

/** Settings of the namespace as Pulumi hands them to a program. */
export function asConfig(values: Readonly<Record<string, unknown>>): Record<string, string> {
	return Object.fromEntries(
		Object.entries(values).map(([key, value]) => [
			`persistent-stack:${key}`,
			typeof value === "string" ? value : JSON.stringify(value),
		]),
	);
}

/** Declares a stack and returns what it registered. */
export async function recordStack(test: StackUnderTest): Promise<RecordedStack> {
	const pulumi = await import("@pulumi/pulumi");
	const { getMonitor } = await import("@pulumi/pulumi/runtime/settings.js");
	await pulumi.runtime.setMocks(
		{
			call: ({ token }) => {
				throw new Error(`the program calls ${token}, which neither engine expects`);
			},
			newResource: ({ type, name, inputs }) => ({
				id: `${name}-id`,
				state: { ...inputs, ...madeOutputs(type, name, inputs, pulumi.secret) },
			}),
		},
		"persistent-stack",
		test.stack,
	);
	const resources: Recorded[] = [];
	const monitor = getMonitor() as unknown as RecordableMonitor;
	const { registerResource, registerResourceOutputs } = monitor;
	monitor.registerResource = (request, callback) => {
		const urn = monitor.newUrn(request.getParent(), request.getType(), request.getName());
		resources.push(readRequest(urn, request));
		return registerResource.call(monitor, request, callback);
	};
	monitor.registerResourceOutputs = (request, callback) => {
		const resource = resources.find(({ urn }) => urn === request.getUrn());
		if (resource) resource.outputs = request.getOutputs()?.toJavaScript() as Properties;
		return registerResourceOutputs.call(monitor, request, callback);
	};

	const known = ["dev", "staging", "prod"].includes(test.stack) ? committedConfig(test.stack) : {};
	const settings = parseSettings(test.stack, asConfig({ ...known, ...test.settings }));
	const { PersistentStack } = await import("../../../components/persistent-stack.ts");
	const stack = new PersistentStack("stack", {
		identity: { stack: test.stack, prefix: settings.prefix },
		settings,
		directories: {
			...stackDirectories(project, test.stack, settings),
			backendContext: `${project}/app/backend`,
			backendDockerfile: `${project}/images/backend/Dockerfile`,
			frontendContext: `${project}/app/frontend`,
			frontendDockerfile: `${project}/images/frontend/Dockerfile`,
		},
		baseImages: test.baseImages ?? fabricatedImages,
		engine: "local",
		platform: "linux/arm64",
		existingVolumes: test.existingVolumes,
		offsiteCredentials: test.offsiteCredentials,
		alarmAddresses: test.alarmAddresses,
	});
	await pulumi.runtime.disconnect();
	return {
		resources,
		url: stack.url,
		named: (name) => {
			const found = resources.filter((resource) => resource.name === name && resource.custom);
			if (found.length !== 1) throw new Error(`${found.length} resources are named ${name}`);
			return found[0] as Recorded;
		},
		ofType: (type) => resources.filter((resource) => resource.type === type),
	};
}

interface RecordableMonitor {
	newUrn(parent: string, type: string, name: string): string;
	registerResource(request: RegisterResourceRequest, callback: unknown): unknown;
	registerResourceOutputs(
		request: { getUrn(): string; getOutputs(): { toJavaScript(): unknown } | undefined },
		callback: unknown,
	): unknown;
}

/** Outputs that only an engine knows, made up so that their way through the program can be followed. */
function madeOutputs(
	type: string,
	name: string,
	inputs: Record<string, unknown>,
	secret: (value: string) => unknown,
): Record<string, unknown> {
	switch (type) {
		case "random:index/randomPassword:RandomPassword":
			return { result: secret(`${secretMark}-${name}`) };
		case "docker:index/remoteImage:RemoteImage":
			return { imageId: `sha256:pulled-${inputs.name}` };
		case "docker:index/image:Image":
			return { repoDigest: `sha256:built-${name}` };
		case "aws:s3/bucket:Bucket":
			return { arn: `arn:aws:s3:::${inputs.bucket}` };
		case "aws:kms/key:Key":
			return { arn: `arn:aws:kms:of:${name}`, keyId: `id-of-${name}` };
		case "aws:iam/policy:Policy":
		case "aws:iam/role:Role":
			return { arn: `arn:aws:iam::of:${inputs.name}` };
		case "aws:iam/accessKey:AccessKey":
			return { secret: secret(`${secretMark}-${name}`) };
		default:
			return {};
	}
}

function readRequest(urn: string, request: RegisterResourceRequest): Recorded {
	const wire = (request.getObject()?.toJavaScript() ?? {}) as Properties;
	const logicalName = (urn: string) => urn.split("::")[3] ?? "";
	return {
		urn,
		type: request.getType(),
		name: request.getName(),
		custom: request.getCustom(),
		parent: logicalName(request.getParent()),
		inputs: plainProperties(wire),
		wire,
		options: {
			ignoreChanges: request.getIgnorechangesList(),
			replaceOnChanges: request.getReplaceonchangesList(),
			protect: request.getProtect() ?? false,
			retainOnDelete: request.getRetainondelete() ?? false,
			deleteBeforeReplace: request.getDeletebeforereplace(),
			importId: request.getImportid(),
			provider: logicalName(request.getProvider()),
			dependencies: request.getDependenciesList().map(logicalName),
		},
	};
}
