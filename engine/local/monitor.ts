/** The two gRPC services that a Pulumi program talks to, as far as this program uses them. */
import * as grpc from "@grpc/grpc-js";
import engineServices from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import engineMessages from "@pulumi/pulumi/proto/engine_pb.js";
import resourceServices from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourceMessages from "@pulumi/pulumi/proto/resource_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import type { Properties, Value } from "./values.ts";

/** A resource that the program declares. */
export interface Registration {
	readonly type: string;
	readonly name: string;
	/** URN of the parent; empty for the stack. */
	readonly parent: string;
	readonly custom: boolean;
	readonly inputs: Properties;
	readonly dependencies: string[];
	readonly propertyDependencies: Record<string, string[]>;
	readonly protect: boolean;
	readonly retainOnDelete: boolean;
	readonly deleteBeforeReplace: boolean;
	readonly ignoreChanges: string[];
	readonly replaceOnChanges: string[];
	/** Version of the provider's package. */
	readonly version: string;
}

export interface RegistrationResult {
	readonly urn: string;
	readonly id?: string;
	readonly outputs: Properties;
}

export interface MonitorHandlers {
	/** Never settles after a failure: the program is then ended, and says nothing of its own. */
	register(registration: Registration): Promise<RegistrationResult>;
	registerOutputs(urn: string, outputs: Properties): void;
	/** The program has come to its good end: it has declared all it wants to declare. */
	complete(): void;
	log(severity: "debug" | "info" | "warning" | "error", message: string): void;
}

export interface Monitor {
	/** `host:port` of both services. */
	readonly address: string;
	close(): void;
}

/** Features of the protocol that the program may use. The others it must do without. */
const supportedFeatures = new Set(["secrets"]);

const severities = ["debug", "info", "warning", "error"] as const;

type Call<T> = grpc.ServerUnaryCall<T, unknown>;
type Reply = grpc.sendUnaryData<unknown>;

/** Serves both services on a free port of the loopback address. */
export async function startMonitor(handlers: MonitorHandlers): Promise<Monitor> {
	// The limit of Pulumi's own server: a resource's properties can be large.
	const size = 400 * 1024 * 1024;
	const server = new grpc.Server({
		"grpc.max_receive_message_length": size,
		"grpc.max_send_message_length": size,
	});
	let rootResource = "";

	server.addService(
		resourceServices.ResourceMonitorService as grpc.ServiceDefinition,
		{
			supportsFeature: (call: Call<resourceMessages.SupportsFeatureRequest>, reply: Reply) => {
				const response = new resourceMessages.SupportsFeatureResponse();
				response.setHassupport(supportedFeatures.has(call.request.getId()));
				reply(null, response);
			},
			registerResource: (call: Call<resourceMessages.RegisterResourceRequest>, reply: Reply) => {
				handlers.register(readRegistration(call.request)).then((result) => {
					const response = new resourceMessages.RegisterResourceResponse();
					response.setUrn(result.urn);
					response.setId(result.id ?? "");
					response.setObject(struct.Struct.fromJavaScript(result.outputs));
					reply(null, response);
				});
			},
			registerResourceOutputs: (
				call: Call<resourceMessages.RegisterResourceOutputsRequest>,
				reply: Reply,
			) => {
				handlers.registerOutputs(call.request.getUrn(), readStruct(call.request.getOutputs()));
				reply(null, new empty.Empty());
			},
			signalAndWaitForShutdown: (_call: unknown, reply: Reply) => {
				handlers.complete();
				reply(null, new empty.Empty());
			},
		} as unknown as grpc.UntypedServiceImplementation,
	);

	server.addService(
		engineServices.EngineService as grpc.ServiceDefinition,
		{
			log: (call: Call<engineMessages.LogRequest>, reply: Reply) => {
				handlers.log(severities[call.request.getSeverity()] ?? "info", call.request.getMessage());
				reply(null, new empty.Empty());
			},
			getRootResource: (_call: unknown, reply: Reply) => {
				const response = new engineMessages.GetRootResourceResponse();
				response.setUrn(rootResource);
				reply(null, response);
			},
			setRootResource: (call: Call<engineMessages.SetRootResourceRequest>, reply: Reply) => {
				rootResource = call.request.getUrn();
				reply(null, new engineMessages.SetRootResourceResponse());
			},
		} as unknown as grpc.UntypedServiceImplementation,
	);

	const port = await new Promise<number>((resolve, reject) => {
		server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
			error ? reject(error) : resolve(bound),
		);
	});
	return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

function readRegistration(request: resourceMessages.RegisterResourceRequest): Registration {
	const propertyDependencies: Record<string, string[]> = {};
	request.getPropertydependenciesMap().forEach((urns, property) => {
		if (urns.getUrnsList().length > 0) propertyDependencies[property] = urns.getUrnsList();
	});
	return {
		type: request.getType(),
		name: request.getName(),
		parent: request.getParent(),
		custom: request.getCustom(),
		inputs: readStruct(request.getObject()),
		dependencies: request.getDependenciesList(),
		propertyDependencies,
		protect: request.getProtect() ?? false,
		retainOnDelete: request.getRetainondelete() ?? false,
		deleteBeforeReplace: request.getDeletebeforereplace(),
		ignoreChanges: request.getIgnorechangesList(),
		replaceOnChanges: request.getReplaceonchangesList(),
		version: request.getVersion(),
	};
}

function readStruct(message: struct.Struct | undefined): Properties {
	return (message?.toJavaScript() ?? {}) as Record<string, Value>;
}
