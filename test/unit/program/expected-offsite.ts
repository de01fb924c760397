/**
 * What a stack with an offsite bucket consists of besides, written out. Nothing here is computed by the
 * program's own code: neither the settings of the bucket nor who may do what with it.
 */
import { secretMark } from "./record.ts";

type Inputs = Readonly<Record<string, unknown>>;

/** The bucket of the committed prod stack. */
export const bucket = "example-persistent-stack-prod";
export const bucketArn = `arn:aws:s3:::${bucket}`;
export const keyArn = "arn:aws:kms:of:stack-offsite-main-key";
const tags = { "persistent-stack.owner": "persistent-stack/prod" };

export const offsiteComponents: readonly (readonly [type: string, name: string, parent: string])[] = [
	["persistent-stack:services:Offsite", "stack-offsite", "stack"],
	["persistent-stack:aws:BackupBucket", "stack-offsite-main", "stack-offsite"],
	["persistent-stack:aws:BackupIdentities", "stack-offsite-identities", "stack-offsite"],
];

export const offsiteCounts: Readonly<Record<string, number>> = {
	"pulumi:providers:aws": 1,
	"aws:s3/bucket:Bucket": 1,
	"aws:s3/bucketVersioning:BucketVersioning": 1,
	"aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": 1,
	"aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": 1,
	"aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": 1,
	"aws:s3/bucketOwnershipControls:BucketOwnershipControls": 1,
	"aws:s3/bucketPolicy:BucketPolicy": 1,
	"aws:kms/key:Key": 1,
	"aws:kms/alias:Alias": 1,
	"aws:iam/policy:Policy": 2,
	"aws:iam/user:User": 2,
	"aws:iam/userPolicyAttachment:UserPolicyAttachment": 2,
	"aws:iam/accessKey:AccessKey": 1,
};

/** The lifecycle of 90 days; what is not tagged as superseded never expires. */
export const lifecycleRules = [
	{
		id: "expire-superseded-copies",
		filter: { and: { prefix: "persistent-stack/prod/", tags: { superseded: "true" } } },
		expiration: { days: 90 },
		status: "Enabled",
	},
	{
		id: "remove-old-versions",
		filter: { prefix: "" },
		noncurrentVersionExpiration: { noncurrentDays: 30 },
		status: "Enabled",
	},
	{
		id: "remove-lone-delete-markers",
		filter: { prefix: "" },
		expiration: { expiredObjectDeleteMarker: true },
		status: "Enabled",
	},
	{
		id: "abort-unfinished-uploads",
		filter: { prefix: "" },
		abortIncompleteMultipartUpload: { daysAfterInitiation: 7 },
		status: "Enabled",
	},
];

const everything = [bucketArn, `${bucketArn}/*`];
const refusedPut = {
	Effect: "Deny",
	Principal: "*",
	Action: "s3:PutObject",
	Resource: `${bucketArn}/*`,
};

export const expectedBucketPolicy = {
	Version: "2012-10-17",
	Statement: [
		{
			Sid: "DenyPlainHttp",
			Effect: "Deny",
			Principal: "*",
			Action: "s3:*",
			Resource: everything,
			Condition: { Bool: { "aws:SecureTransport": "false" } },
		},
		{
			Sid: "DenyOldTls",
			Effect: "Deny",
			Principal: "*",
			Action: "s3:*",
			Resource: everything,
			Condition: { NumericLessThan: { "s3:TlsVersion": "1.2" } },
		},
		{
			Sid: "DenyOtherEncryption",
			...refusedPut,
			Condition: {
				Null: { "s3:x-amz-server-side-encryption": "false" },
				StringNotEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
			},
		},
		{
			Sid: "DenyOtherKeys",
			...refusedPut,
			Condition: {
				Null: { "s3:x-amz-server-side-encryption-aws-kms-key-id": "false" },
				ArnNotEquals: { "s3:x-amz-server-side-encryption-aws-kms-key-id": keyArn },
			},
		},
		{
			Sid: "DenyUnnamedKey",
			...refusedPut,
			Condition: {
				Null: { "s3:x-amz-server-side-encryption-aws-kms-key-id": "true" },
				StringEquals: { "s3:x-amz-server-side-encryption": "aws:kms" },
			},
		},
		{
			Sid: "DenyCustomerKeys",
			...refusedPut,
			Condition: { Null: { "s3:x-amz-server-side-encryption-customer-algorithm": "false" } },
		},
		{
			Sid: "DenyOverwrite",
			...refusedPut,
			Condition: {
				Null: { "s3:if-none-match": "true" },
				Bool: { "s3:ObjectCreationOperation": "true" },
			},
		},
	],
};

export const expectedWriterPolicy = {
	Version: "2012-10-17",
	Statement: [
		{
			Sid: "PutAndReadBack",
			Effect: "Allow",
			Action: [
				"s3:AbortMultipartUpload",
				"s3:GetObject",
				"s3:GetObjectAttributes",
				"s3:GetObjectTagging",
				"s3:ListMultipartUploadParts",
				"s3:PutObject",
				"s3:PutObjectTagging",
			],
			Resource: `${bucketArn}/persistent-stack/prod/*`,
		},
		{
			Sid: "List",
			Effect: "Allow",
			Action: "s3:ListBucket",
			Resource: bucketArn,
			Condition: { StringLike: { "s3:prefix": "persistent-stack/prod/*" } },
		},
		{
			Sid: "ListUnfinishedUploads",
			Effect: "Allow",
			Action: "s3:ListBucketMultipartUploads",
			Resource: bucketArn,
		},
		{
			Sid: "UseTheKey",
			Effect: "Allow",
			Action: ["kms:Decrypt", "kms:GenerateDataKey"],
			Resource: keyArn,
			Condition: { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } },
		},
		{
			Sid: "NeverDeleteNorChangeTheBucket",
			Effect: "Deny",
			Action: [
				"s3:BypassGovernanceRetention",
				"s3:Delete*",
				"s3:PutBucket*",
				"s3:PutEncryptionConfiguration",
				"s3:PutLifecycleConfiguration",
				"s3:PutObjectLegalHold",
				"s3:PutObjectRetention",
				"s3:PutObjectVersionTagging",
				"s3:PutReplicationConfiguration",
			],
			Resource: everything,
		},
	],
};

export const expectedReaderPolicy = {
	Version: "2012-10-17",
	Statement: [
		{
			Sid: "Read",
			Effect: "Allow",
			Action: [
				"s3:GetObject",
				"s3:GetObjectAttributes",
				"s3:GetObjectTagging",
				"s3:GetObjectVersion",
				"s3:GetObjectVersionAttributes",
				"s3:GetObjectVersionTagging",
			],
			Resource: `${bucketArn}/persistent-stack/prod/*`,
		},
		{
			Sid: "List",
			Effect: "Allow",
			Action: ["s3:ListBucket", "s3:ListBucketVersions"],
			Resource: bucketArn,
			Condition: { StringLike: { "s3:prefix": "persistent-stack/prod/*" } },
		},
		{
			Sid: "UseTheKey",
			Effect: "Allow",
			Action: "kms:Decrypt",
			Resource: keyArn,
			Condition: { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } },
		},
	],
};

/** Exact inputs of every object, by logical name. */
export const offsiteInputs: Readonly<Record<string, Inputs>> = {
	// But for the region, the SDK's own defaults.
	"stack-offsite-aws": {
		region: "eu-central-1",
		skipCredentialsValidation: "false",
		skipRegionValidation: "true",
	},
	"stack-offsite-main-bucket": { bucket, forceDestroy: false, objectLockEnabled: false, tags },
	"stack-offsite-main-key": {
		description: `Encrypts the recovery points in ${bucket}`,
		enableKeyRotation: true,
		deletionWindowInDays: 30,
		tags,
	},
	"stack-offsite-main-key-alias": {
		name: `alias/${bucket}`,
		targetKeyId: "id-of-stack-offsite-main-key",
	},
	"stack-offsite-main-versioning": { bucket, versioningConfiguration: { status: "Enabled" } },
	"stack-offsite-main-encryption": {
		bucket,
		rules: [
			{
				applyServerSideEncryptionByDefault: { sseAlgorithm: "aws:kms", kmsMasterKeyId: keyArn },
				bucketKeyEnabled: true,
				blockedEncryptionTypes: ["SSE-C"],
			},
		],
	},
	"stack-offsite-main-lifecycle": {
		bucket,
		rules: lifecycleRules,
		transitionDefaultMinimumObjectSize: "all_storage_classes_128K",
	},
	"stack-offsite-main-public-access": {
		bucket,
		blockPublicAcls: true,
		blockPublicPolicy: true,
		ignorePublicAcls: true,
		restrictPublicBuckets: true,
	},
	"stack-offsite-main-ownership": { bucket, rule: { objectOwnership: "BucketOwnerEnforced" } },
	"stack-offsite-main-policy": { bucket, policy: JSON.stringify(expectedBucketPolicy) },
	"stack-offsite-identities-writer-policy": {
		name: `${bucket}-writer`,
		path: "/persistent-stack/",
		description: "Adds recovery points and reads them back; deletes nothing",
		policy: JSON.stringify(expectedWriterPolicy),
		tags,
	},
	"stack-offsite-identities-reader-policy": {
		name: `${bucket}-reader`,
		path: "/persistent-stack/",
		description: "Reads recovery points, for a restore",
		policy: JSON.stringify(expectedReaderPolicy),
		tags,
	},
	"stack-offsite-identities-writer": { name: `${bucket}-writer`, path: "/persistent-stack/", tags },
	"stack-offsite-identities-reader": { name: `${bucket}-reader`, path: "/persistent-stack/", tags },
	"stack-offsite-identities-writer-attachment": {
		user: `${bucket}-writer`,
		policyArn: `arn:aws:iam::of:${bucket}-writer`,
	},
	"stack-offsite-identities-reader-attachment": {
		user: `${bucket}-reader`,
		policyArn: `arn:aws:iam::of:${bucket}-reader`,
	},
	"stack-offsite-identities-writer-key": { user: `${bucket}-writer` },
};

/** What the sidecar is told. */
export const expectedOffsitePolicy = {
	bucket,
	region: "eu-central-1",
	prefix: "persistent-stack",
	retentionDays: 90,
	credentials: { source: "file", file: "/run/secrets/offsite_credentials" },
};

/** The file that it finds its key in. */
export const credentialsUpload = {
	file: "/run/secrets/offsite_credentials",
	content: `[default]\naws_access_key_id = stack-offsite-identities-writer-key-id\naws_secret_access_key = ${secretMark}-stack-offsite-identities-writer-key\n`,
	permissions: "0444",
};
