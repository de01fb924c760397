import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { isPrecious, type VolumeEntry, type VolumeKey, volumeCatalogue } from "./catalogue.ts";
import { labelKeys, labelList, ownerOf, type StackIdentity, volumeName } from "./identity.ts";
import type { StackSettings } from "./settings.ts";

export interface DataVolumesArgs {
	readonly identity: StackIdentity;
	/** What a destroy does to critical and important volumes. */
	readonly removalPolicy: StackSettings["removalPolicy"];
	/** Extra labels, key to value, for volumes that are made now. */
	readonly labels: Readonly<Record<string, string>>;
	/** Names of volumes that this stack already owns, by catalogue key; they keep their names. */
	readonly existing?: Partial<Record<VolumeKey, string>>;
}

/**
 * The named volumes of the catalogue.
 *
 * On `docker.Volume` every input replaces the volume, and replacing destroys its content: a label edit did
 * so, measured. All four are therefore ignored after creation; mounts refer to the volume's own `name`.
 */
export class DataVolumes extends pulumi.ComponentResource {
	/** Real name of each volume, for mounts. */
	readonly names: Readonly<Record<VolumeKey, pulumi.Output<string>>>;

	constructor(name: string, args: DataVolumesArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:docker:DataVolumes", name, {}, opts);
		const createVolume = (entry: (typeof volumeCatalogue)[number]) =>
			new docker.Volume(
				`${name}-${entry.key}`,
				{
					name: args.existing?.[entry.key] ?? volumeName(args.identity, entry.key),
					driver: "local",
					labels: labelList({
						[labelKeys.owner]: ownerOf(args.identity.stack),
						[labelKeys.volume]: entry.key,
						...args.labels,
					}),
				},
				{ parent: this, ...removalOptions(entry, args.removalPolicy) },
			);
		this.names = Object.fromEntries(
			volumeCatalogue.map((entry) => [entry.key, createVolume(entry).name]),
		) as Record<VolumeKey, pulumi.Output<string>>;
		this.registerOutputs({ names: this.names });
	}
}

/**
 * Resource options of a volume: set on the volume itself, because what children inherit has changed between
 * Pulumi versions.
 */
export function removalOptions(
	entry: Pick<VolumeEntry, "dataClass">,
	policy: StackSettings["removalPolicy"],
): Required<Pick<pulumi.CustomResourceOptions, "ignoreChanges" | "protect" | "retainOnDelete">> {
	return {
		ignoreChanges: ["name", "labels", "driver", "driverOpts"],
		protect: isPrecious(entry) && policy === "protect",
		retainOnDelete: isPrecious(entry) && policy !== "remove",
	};
}
