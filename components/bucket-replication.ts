import * as pulumi from "@pulumi/pulumi";
import { replicationPolicy, trustPolicy } from "./access-policies.ts";
import * as aws from "./aws.ts";
import type { BackupBucket } from "./backup-bucket.ts";

export interface BucketReplicationArgs {
	readonly source: BackupBucket;
	readonly replica: BackupBucket;
	readonly roleName: string;
	/** Whether the role exists, from an earlier life of this stack. */
	readonly adopt: boolean;
	readonly tags: Readonly<Record<string, string>>;
}

/** Copies every new object, with its tags, to a bucket in another region. A deletion stays where it was made. */
export class BucketReplication extends pulumi.ComponentResource {
	constructor(
		name: string,
		{ source, replica, roleName, adopt, tags }: BucketReplicationArgs,
		opts?: pulumi.ComponentResourceOptions,
	) {
		super("persistent-stack:aws:BucketReplication", name, {}, opts);
		// A destroy leaves both buckets, and the one goes on following the other.
		const kept = (dependsOn: pulumi.Resource[] = []) => ({ parent: this, retainOnDelete: true, dependsOn });
		const role = new aws.Role(
			`${name}-role`,
			{
				name: roleName,
				path: "/persistent-stack/",
				description: pulumi.interpolate`Replicates ${source.name} to ${replica.name}`,
				assumeRolePolicy: JSON.stringify(trustPolicy("s3.amazonaws.com")),
				tags,
			},
			{ ...kept(), ...(adopt && { import: roleName }) },
		);
		const policy = new aws.RolePolicy(
			`${name}-role-policy`,
			{
				role: role.name,
				policy: pulumi.jsonStringify(
					pulumi.all([source.keyed, replica.keyed]).apply((buckets) => replicationPolicy(...buckets)),
				),
			},
			kept(),
		);
		new aws.BucketReplicationConfig(
			`${name}-configuration`,
			{
				bucket: source.name,
				role: role.arn,
				rules: [
					{
						id: "replicate-everything",
						status: "Enabled",
						priority: 1,
						filter: { prefix: "" },
						deleteMarkerReplication: { status: "Disabled" },
						sourceSelectionCriteria: { sseKmsEncryptedObjects: { status: "Enabled" } },
						destination: {
							bucket: replica.arn,
							encryptionConfiguration: { replicaKmsKeyId: replica.keyArn },
						},
					},
				],
			},
			// Both buckets need their versions first, and the role its rights.
			kept([source, replica, policy]),
		);
		this.registerOutputs({});
	}
}
