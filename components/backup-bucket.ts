import * as pulumi from "@pulumi/pulumi";
import { bucketPolicy, type KeyedBucket } from "./access-policies.ts";
import * as aws from "./aws.ts";
import { supersededTag } from "./offsite-policy.ts";
import type { StackSettings } from "./settings.ts";

export interface BackupBucketArgs {
	/** Name of the bucket. */
	readonly bucket: string;
	/** Region of the provider that the component is given. */
	readonly region: string;
	/** ARN of the key. Empty: a key of the bucket's own, rotated every year. */
	readonly kmsKey: string;
	/** What the keys of copies begin with, without the slash at its end. */
	readonly keyPrefix: string;
	/** Retention, storage class, Object Lock and removal policy. */
	readonly settings: StackSettings;
	/** Bucket that receives the access log; empty: none. */
	readonly accessLogBucket: string;
	readonly tags: Readonly<Record<string, string>>;
	/** Whether the bucket exists, from an earlier life of this stack, and is taken over with what is in it. */
	readonly adopt: boolean;
}

/** Days after which what remains of an upload that was broken off goes; no upload lasts so long. */
const unfinishedUploadDays = 7;

/**
 * A bucket that keeps: versions, encryption, a lifecycle that age alone cannot set off, and no public access.
 * Each setting is a resource of its own. A destroy leaves the bucket, its key and its settings as they are; a
 * setting that went with it would be switched off in a bucket that stays.
 */
export class BackupBucket extends pulumi.ComponentResource {
	readonly name: pulumi.Output<string>;
	readonly arn: pulumi.Output<string>;
	readonly keyArn: pulumi.Output<string>;
	readonly region: string;

	constructor(name: string, args: BackupBucketArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:aws:BackupBucket", name, {}, opts);
		const { settings, tags } = args;
		const locked = settings.offsiteObjectLock !== "off";
		const kept = (dependsOn: pulumi.Resource[] = []) => ({ parent: this, retainOnDelete: true, dependsOn });
		const protect = settings.removalPolicy === "protect";

		const createKey = () => {
			const key = new aws.Key(
				`${name}-key`,
				{
					description: `Encrypts the recovery points in ${args.bucket}`,
					enableKeyRotation: true,
					deletionWindowInDays: 30,
					tags,
				},
				{ ...kept(), protect },
			);
			new aws.Alias(`${name}-key-alias`, { name: `alias/${args.bucket}`, targetKeyId: key.keyId }, kept());
			return key.arn;
		};
		const created = new aws.Bucket(
			`${name}-bucket`,
			{ bucket: args.bucket, forceDestroy: false, objectLockEnabled: locked, tags },
			{
				...kept(),
				protect,
				...(args.adopt && { import: args.bucket }),
				// It can be said of a new bucket only; of any other the lock's own resource says it.
				ignoreChanges: ["objectLockEnabled"],
			},
		);
		this.name = created.bucket;
		this.arn = created.arn;
		this.keyArn = args.kmsKey ? pulumi.output(args.kmsKey) : createKey();
		this.region = args.region;
		const bucket = this.name;

		const versioning = new aws.BucketVersioning(
			`${name}-versioning`,
			{ bucket, versioningConfiguration: { status: "Enabled" } },
			kept(),
		);
		new aws.BucketServerSideEncryptionConfiguration(
			`${name}-encryption`,
			{
				bucket,
				rules: [
					{
						applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: this.keyArn },
						bucketKeyEnabled: true,
						blockedEncryptionTypes: ["SSE-C"],
					},
				],
			},
			kept(),
		);
		new aws.BucketLifecycleConfiguration(
			`${name}-lifecycle`,
			{
				bucket,
				rules: lifecycleRules(args),
				transitionDefaultMinimumObjectSize: "all_storage_classes_128K",
			},
			// Without versions an expiry would be the end of an object.
			kept([versioning]),
		);
		const publicAccess = new aws.BucketPublicAccessBlock(
			`${name}-public-access`,
			{
				bucket,
				blockPublicAcls: true,
				blockPublicPolicy: true,
				ignorePublicAcls: true,
				restrictPublicBuckets: true,
			},
			kept(),
		);
		new aws.BucketOwnershipControls(
			`${name}-ownership`,
			{ bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
			kept(),
		);
		new aws.BucketPolicy(
			`${name}-policy`,
			{
				bucket,
				policy: pulumi.jsonStringify(
					pulumi.output({ bucketArn: this.arn, keyArn: this.keyArn }).apply(bucketPolicy),
				),
			},
			// The two are refused while the other one is being written.
			kept([publicAccess]),
		);
		if (locked) {
			new aws.BucketObjectLockConfiguration(
				`${name}-object-lock`,
				{
					bucket,
					objectLockEnabled: "Enabled",
					rule: {
						defaultRetention: {
							mode: settings.offsiteObjectLock.toUpperCase(),
							days: settings.offsiteObjectLockDays,
						},
					},
				},
				kept([versioning]),
			);
		}
		if (args.accessLogBucket) {
			new aws.BucketLogging(
				`${name}-access-log`,
				{ bucket, targetBucket: args.accessLogBucket, targetPrefix: `${args.bucket}/` },
				kept(),
			);
		}
		this.registerOutputs({ name: this.name, arn: this.arn, keyArn: this.keyArn });
	}

	/** The bucket with its key, as policies name them. */
	get keyed(): pulumi.Output<KeyedBucket> {
		return pulumi.output({ bucketArn: this.arn, keyArn: this.keyArn, region: this.region });
	}
}

/**
 * The lifecycle. Only what the agent has tagged as superseded expires, and not before its days are over: when
 * backups stop, nothing more is tagged, and so nothing more goes.
 */
function lifecycleRules({ settings, keyPrefix }: BackupBucketArgs) {
	const copies = { prefix: `${keyPrefix}/` };
	const everything = { prefix: "" };
	const rules = [
		{
			id: "expire-superseded-copies",
			filter: { and: { ...copies, tags: { [supersededTag.key]: supersededTag.value } } },
			expiration: { days: settings.offsiteRetentionDays },
		},
		{
			id: "remove-old-versions",
			filter: everything,
			noncurrentVersionExpiration: { noncurrentDays: settings.offsiteNoncurrentDays },
		},
		{
			id: "remove-lone-delete-markers",
			filter: everything,
			expiration: { expiredObjectDeleteMarker: true },
		},
		{
			id: "abort-unfinished-uploads",
			filter: everything,
			abortIncompleteMultipartUpload: { daysAfterInitiation: unfinishedUploadDays },
		},
		...(settings.offsiteTransitionDays > 0
			? [
					{
						id: "move-to-cheaper-storage",
						filter: copies,
						transitions: [
							{ days: settings.offsiteTransitionDays, storageClass: settings.offsiteStorageClass },
						],
					},
				]
			: []),
	];
	return rules.map((rule) => ({ ...rule, status: "Enabled" }));
}
