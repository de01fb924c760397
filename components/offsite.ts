import * as pulumi from "@pulumi/pulumi";
import * as aws from "./aws.ts";
import { BackupBucket, type BackupBucketArgs } from "./backup-bucket.ts";
import { BackupIdentities } from "./backup-identities.ts";
import { BucketReplication } from "./bucket-replication.ts";
import { labelKeys, ownerOf, type StackIdentity } from "./identity.ts";
import { credentialsText } from "./offsite-credentials.ts";
import { keyPrefix } from "./offsite-policy.ts";
import type { StackSettings } from "./settings.ts";

export interface OffsiteArgs {
	readonly identity: StackIdentity;
	/** Settings in which offsite is on. */
	readonly settings: StackSettings;
	/** Extra labels, key to value; they become tags. */
	readonly labels: Readonly<Record<string, string>>;
	/** Content of the sidecar's credentials file, where its key is not generated. */
	readonly givenCredentials: string | undefined;
}

/** What an operator needs to know of the bucket; policies exist only at AWS. */
export interface OffsiteOutputs {
	readonly bucket: string;
	readonly keyPrefix: string;
	/** ARN of the policy for whoever uploads. */
	readonly writerPolicy?: pulumi.Output<string>;
	/** ARN of the policy for whoever restores. */
	readonly readerPolicy?: pulumi.Output<string>;
}

/**
 * Where recovery points are kept besides this host: a bucket at AWS with its identities, or one that exists at
 * another service, of which nothing is declared.
 */
export class Offsite extends pulumi.ComponentResource {
	/** Content of the sidecar's credentials file, a secret; undefined where it has the machine's role. */
	readonly credentials: pulumi.Output<string> | undefined;
	readonly outputs: OffsiteOutputs;

	constructor(name: string, args: OffsiteArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Offsite", name, {}, opts);
		const { identity, settings } = args;
		const identities = settings.offsiteEndpoint === "" ? this.#declare(name, args) : undefined;
		this.credentials = identities?.writerKey
			? credentialsFile(identities.writerKey)
			: args.givenCredentials === undefined
				? undefined
				: pulumi.secret(args.givenCredentials);
		this.outputs = {
			bucket: settings.offsiteBucket,
			keyPrefix: keyPrefix(identity.stack, settings),
			...(identities && { writerPolicy: identities.writerPolicy, readerPolicy: identities.readerPolicy }),
		};
		this.registerOutputs(this.outputs);
	}

	/** Declares the bucket, its replica and the identities. */
	#declare(name: string, { identity, settings, labels }: OffsiteArgs): BackupIdentities {
		const tags = { [labelKeys.owner]: ownerOf(identity.stack), ...labels };
		const prefix = keyPrefix(identity.stack, settings);
		const createProvider = (suffix: string, region: string) =>
			new aws.Provider(`${name}-${suffix}`, { region }, { parent: this });
		const createBucket = (
			suffix: string,
			provider: aws.Provider,
			args: Pick<BackupBucketArgs, "bucket" | "region" | "kmsKey" | "accessLogBucket">,
		) =>
			new BackupBucket(
				`${name}-${suffix}`,
				{ ...args, keyPrefix: prefix, settings, tags, adopt: settings.adopt.includes(args.bucket) },
				{ parent: this, providers: [provider] },
			);

		const provider = createProvider("aws", settings.offsiteRegion);
		const bucket = createBucket("main", provider, {
			bucket: settings.offsiteBucket,
			region: settings.offsiteRegion,
			kmsKey: settings.offsiteKmsKey,
			accessLogBucket: settings.offsiteAccessLogBucket,
		});
		if (settings.offsiteReplicaBucket) {
			const replica = createBucket("replica", createProvider("replica-aws", settings.offsiteReplicaRegion), {
				bucket: settings.offsiteReplicaBucket,
				region: settings.offsiteReplicaRegion,
				kmsKey: settings.offsiteReplicaKmsKey,
				// A bucket for access logs is one of the same region.
				accessLogBucket: "",
			});
			new BucketReplication(
				`${name}-replication`,
				{
					source: bucket,
					replica,
					roleName: `${settings.offsiteBucket}-replica`,
					adopt: settings.adopt.includes(settings.offsiteBucket),
					tags,
				},
				{ parent: this, providers: [provider] },
			);
		}
		return new BackupIdentities(
			`${name}-identities`,
			{ bucket, keyPrefix: prefix, settings, tags },
			{ parent: this, providers: [provider] },
		);
	}
}

/** A key in the form of ~/.aws/credentials. */
function credentialsFile(key: NonNullable<BackupIdentities["writerKey"]>): pulumi.Output<string> {
	return pulumi.secret(
		pulumi.all([key.id, key.secret]).apply(([id, secret]) => credentialsText({ id, secret })),
	);
}
