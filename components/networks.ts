import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import {
	labelKeys,
	labelList,
	type NetworkName,
	networkName,
	ownerOf,
	type StackIdentity,
} from "./identity.ts";
import type { StackSettings } from "./settings.ts";

export interface NetworksArgs {
	readonly identity: StackIdentity;
	/** Whether there is a network for the sidecar's way out. */
	readonly egress: boolean;
	/** Extra labels, key to value. */
	readonly labels: Readonly<Record<string, string>>;
}

type EgressSettings = Pick<StackSettings, "offsite" | "alarmWebhook" | "alarmPing" | "metricsPort">;

/**
 * Whether a stack's sidecar has to reach something outside, or be reached from the host: a container on an
 * internal network alone cannot publish a port (Docker 20.10, measured).
 */
export function needsEgress({ offsite, alarmWebhook, alarmPing, metricsPort }: EgressSettings): boolean {
	return offsite || alarmWebhook !== "" || alarmPing !== "" || metricsPort > 0;
}

/**
 * The stack's networks: `edge` for what a request passes, `data` with no way out for what holds data, `egress`
 * for the sidecar alone, and only where it has something to send.
 */
export class Networks extends pulumi.ComponentResource {
	/** Real name of each network. */
	readonly names: Readonly<Record<"edge" | "data", pulumi.Output<string>>> & {
		readonly egress?: pulumi.Output<string>;
	};

	constructor(name: string, args: NetworksArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:docker:Networks", name, {}, opts);
		const createNetwork = (network: NetworkName, internal: boolean) =>
			new docker.Network(
				`${name}-${network}`,
				{
					name: networkName(args.identity, network),
					driver: "bridge",
					internal,
					labels: labelList({ [labelKeys.owner]: ownerOf(args.identity.stack), ...args.labels }),
				},
				// A network is replaced by taking every container off it: not for a label.
				{ parent: this, ignoreChanges: ["labels"] },
			).name;
		this.names = {
			edge: createNetwork("edge", false),
			data: createNetwork("data", true),
			...(args.egress && { egress: createNetwork("egress", false) }),
		};
		this.registerOutputs({ names: this.names });
	}
}
