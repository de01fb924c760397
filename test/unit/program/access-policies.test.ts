/**
 * What the declared policies mean, by a simulator of AWS's own evaluation: identity policy, bucket policy and
 * key policy together. The simulator knows AWS's actions and condition keys and refuses unknown ones.
 */

import { runSimulation } from "@cloud-copilot/iam-simulate";
import { beforeAll, describe, expect, test } from "@jest/globals";
import {
	bucketPolicy,
	readerPolicy,
	replicationPolicy,
	writerPolicy,
} from "../../../components/access-policies.ts";

const account = "111122223333";
const keyOf = (region: string) => `arn:aws:kms:${region}:${account}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const source = {
	bucketArn: "arn:aws:s3:::shop-backups",
	keyArn: keyOf("eu-central-1"),
	region: "eu-central-1",
	keyPrefix: "persistent-stack/prod",
};
const replica = { bucketArn: "arn:aws:s3:::shop-replica", keyArn: keyOf("eu-west-1"), region: "eu-west-1" };
const own = `${source.bucketArn}/persistent-stack/prod/full_backup_20260301_020000.tar.gz`;
const others = [
	`${source.bucketArn}/persistent-stack/staging/full_backup_20260301_020000.tar.gz`,
	`${source.bucketArn}/persistent-stack/production/full_backup_20260301_020000.tar.gz`,
	`${source.bucketArn}/full_backup_20260301_020000.tar.gz`,
];

/** KMS's own default: the account's identity policies decide. */
const keyPolicy = {
	Version: "2012-10-17",
	Statement: [
		{
			Sid: "Default",
			Effect: "Allow",
			Principal: { AWS: `arn:aws:iam::${account}:root` },
			Action: "kms:*",
			Resource: "*",
		},
	],
};

/** An identity that some administrator has given every right besides. */
const everyRight = {
	Version: "2012-10-17",
	Statement: [{ Sid: "All", Effect: "Allow", Action: "*", Resource: "*" }],
};

type Verdict = "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied";
type Context = Readonly<Record<string, string>>;

const tls: Context = { "aws:SecureTransport": "true", "s3:TlsVersion": "1.3" };
/** A put as the agent makes it. */
const put: Context = { ...tls, "s3:if-none-match": "*", "s3:ObjectCreationOperation": "true" };

async function verdict(
	policies: readonly unknown[],
	action: string,
	resource: string,
	context: Context,
): Promise<Verdict> {
	const [service] = action.split(":");
	const resourcePolicy = service === "s3" ? bucketPolicyOf(resource) : keyPolicy;
	const simulated = await runSimulation(
		{
			request: {
				principal: `arn:aws:iam::${account}:user/persistent-stack/shop-backups-writer`,
				action,
				resource: { resource, accountId: account },
				contextVariables: { ...context },
			},
			identityPolicies: policies.map((policy, number) => ({ name: `policy-${number}`, policy })),
			serviceControlPolicies: [],
			resourceControlPolicies: [],
			resourcePolicy,
		},
		{},
	);
	if (simulated.resultType === "error") throw new Error(JSON.stringify(simulated.errors));
	return simulated.overallResult;
}

function bucketPolicyOf(resource: string): unknown {
	return bucketPolicy(resource.startsWith(replica.bucketArn) ? replica : source);
}

const listing = (prefix?: string): Context => ({
	...tls,
	...(prefix !== undefined && { "s3:prefix": prefix }),
});
const throughS3 = (region: string): Context => ({ "kms:ViaService": `s3.${region}.amazonaws.com` });

describe("the writer", () => {
	const writer = writerPolicy(source);

	test.each<[action: string, resource: string, context: Context]>([
		["s3:PutObject", own, put],
		["s3:PutObject", own, { ...tls, "s3:ObjectCreationOperation": "false" }],
		["s3:PutObjectTagging", own, tls],
		["s3:GetObject", own, tls],
		["s3:GetObjectAttributes", own, tls],
		["s3:GetObjectTagging", own, tls],
		["s3:AbortMultipartUpload", own, tls],
		["s3:ListMultipartUploadParts", own, tls],
		["s3:ListBucket", source.bucketArn, listing("persistent-stack/prod/")],
		["s3:ListBucket", source.bucketArn, listing("persistent-stack/prod/full_backup_20260301_020000.tar.gz")],
		["s3:ListBucketMultipartUploads", source.bucketArn, tls],
		["kms:GenerateDataKey", source.keyArn, throughS3("eu-central-1")],
		["kms:Decrypt", source.keyArn, throughS3("eu-central-1")],
	])("may %s on %s", async (action, resource, context) => {
		expect(await verdict([writer], action, resource, context)).toBe("Allowed");
	});

	/** Whoever has the writer's key has none of these, even if he is given every right besides. */
	test.each<[action: string, resource: string]>([
		["s3:DeleteObject", own],
		["s3:DeleteObjectVersion", own],
		["s3:DeleteObjectTagging", own],
		["s3:DeleteObjectVersionTagging", own],
		["s3:DeleteBucket", source.bucketArn],
		["s3:DeleteBucketPolicy", source.bucketArn],
		["s3:PutBucketVersioning", source.bucketArn],
		["s3:PutBucketPolicy", source.bucketArn],
		["s3:PutBucketPublicAccessBlock", source.bucketArn],
		["s3:PutBucketOwnershipControls", source.bucketArn],
		["s3:PutBucketObjectLockConfiguration", source.bucketArn],
		["s3:PutLifecycleConfiguration", source.bucketArn],
		["s3:PutEncryptionConfiguration", source.bucketArn],
		["s3:PutReplicationConfiguration", source.bucketArn],
		["s3:PutObjectRetention", own],
		["s3:PutObjectLegalHold", own],
		["s3:BypassGovernanceRetention", own],
		["s3:PutObjectVersionTagging", own],
	])("may never %s on %s, whatever else it is given", async (action, resource) => {
		expect(await verdict([writer], action, resource, tls)).toBe("ExplicitlyDenied");
		expect(await verdict([writer, everyRight], action, resource, tls)).toBe("ExplicitlyDenied");
		expect(await verdict([everyRight], action, resource, tls)).toBe("Allowed");
	});

	test.each(others)("may do nothing with %s, which is not of its stack", async (resource) => {
		for (const action of [
			"s3:PutObject",
			"s3:PutObjectTagging",
			"s3:GetObject",
			"s3:AbortMultipartUpload",
			"s3:ListMultipartUploadParts",
		]) {
			const context = action === "s3:PutObject" ? put : tls;
			expect([action, await verdict([writer], action, resource, context)]).toEqual([
				action,
				"ImplicitlyDenied",
			]);
		}
	});

	test.each([undefined, "", "persistent-stack/", "persistent-stack/prod", "persistent-stack/staging/"])(
		"may not list the bucket with the prefix %j",
		async (prefix) => {
			const answer = await verdict([writer], "s3:ListBucket", source.bucketArn, listing(prefix));
			expect(answer).toBe("ImplicitlyDenied");
		},
	);

	test.each<[action: string, resource: string, context: Context]>([
		["kms:Decrypt", keyOf("eu-west-1"), throughS3("eu-central-1")],
		["kms:Decrypt", source.keyArn, throughS3("eu-west-1")],
		["kms:Decrypt", source.keyArn, {}],
		["kms:ScheduleKeyDeletion", source.keyArn, throughS3("eu-central-1")],
		["kms:DisableKey", source.keyArn, throughS3("eu-central-1")],
		["kms:PutKeyPolicy", source.keyArn, throughS3("eu-central-1")],
		["s3:GetObjectVersion", own, tls],
		["s3:PutObjectAcl", own, tls],
		["s3:PutObject", `${replica.bucketArn}/persistent-stack/prod/x`, put],
	])("may not %s on %s with %j", async (action, resource, context) => {
		expect(await verdict([writer], action, resource, context)).toBe("ImplicitlyDenied");
	});
});

describe("the reader", () => {
	const reader = readerPolicy(source);

	test.each<[action: string, resource: string, context: Context]>([
		["s3:GetObject", own, tls],
		["s3:GetObjectVersion", own, tls],
		["s3:GetObjectTagging", own, tls],
		["s3:ListBucket", source.bucketArn, listing("persistent-stack/prod/")],
		["s3:ListBucketVersions", source.bucketArn, listing("persistent-stack/prod/")],
		["kms:Decrypt", source.keyArn, throughS3("eu-central-1")],
	])("may %s on %s", async (action, resource, context) => {
		expect(await verdict([reader], action, resource, context)).toBe("Allowed");
	});

	test.each<[action: string, resource: string, context: Context]>([
		["s3:PutObject", own, put],
		["s3:PutObjectTagging", own, tls],
		["s3:DeleteObject", own, tls],
		["s3:DeleteObjectVersion", own, tls],
		["s3:AbortMultipartUpload", own, tls],
		["s3:PutLifecycleConfiguration", source.bucketArn, tls],
		["s3:GetObject", others[0] as string, tls],
		["s3:ListBucket", source.bucketArn, listing()],
		["kms:GenerateDataKey", source.keyArn, throughS3("eu-central-1")],
	])("may not %s on %s", async (action, resource, context) => {
		expect(await verdict([reader], action, resource, context)).toBe("ImplicitlyDenied");
	});
});

describe("the bucket refuses, even to an administrator,", () => {
	const encrypted = (algorithm: string, key?: string): Context => ({
		...put,
		"s3:x-amz-server-side-encryption": algorithm,
		...(key && { "s3:x-amz-server-side-encryption-aws-kms-key-id": key }),
	});

	test.each<[what: string, action: string, resource: string, context: Context]>([
		["reading over plain HTTP", "s3:GetObject", own, { ...tls, "aws:SecureTransport": "false" }],
		["writing over plain HTTP", "s3:PutObject", own, { ...put, "aws:SecureTransport": "false" }],
		[
			"listing over plain HTTP",
			"s3:ListBucket",
			source.bucketArn,
			{ ...tls, "aws:SecureTransport": "false" },
		],
		["TLS 1.1", "s3:GetObject", own, { ...tls, "s3:TlsVersion": "1.1" }],
		["another encryption", "s3:PutObject", own, encrypted("AES256")],
		["another key", "s3:PutObject", own, encrypted("aws:kms", keyOf("us-east-1"))],
		["AWS's own key instead of the bucket's", "s3:PutObject", own, encrypted("aws:kms")],
		[
			"a key that only the client knows",
			"s3:PutObject",
			own,
			{ ...put, "s3:x-amz-server-side-encryption-customer-algorithm": "AES256" },
		],
		["overwriting", "s3:PutObject", own, { ...tls, "s3:ObjectCreationOperation": "true" }],
	])("%s", async (_what, action, resource, context) => {
		expect(await verdict([everyRight], action, resource, context)).toBe("ExplicitlyDenied");
	});

	test.each<[what: string, context: Context]>([
		["that says nothing of encryption", put],
		["that names the bucket's key", encrypted("aws:kms", source.keyArn)],
		["over TLS 1.2", { ...put, "s3:TlsVersion": "1.2" }],
		["of a part of a multipart upload", { ...tls, "s3:ObjectCreationOperation": "false" }],
	])("but not a put %s", async (_what, context) => {
		expect(await verdict([everyRight], "s3:PutObject", own, context)).toBe("Allowed");
	});
});

describe("the replication", () => {
	const policy = replicationPolicy(source, replica);

	test.each<[action: string, resource: string, context: Context]>([
		["s3:GetReplicationConfiguration", source.bucketArn, tls],
		["s3:ListBucket", source.bucketArn, tls],
		["s3:GetObjectVersionForReplication", own, tls],
		["s3:GetObjectVersionTagging", own, tls],
		["s3:ReplicateObject", `${replica.bucketArn}/persistent-stack/prod/x`, tls],
		["s3:ReplicateTags", `${replica.bucketArn}/persistent-stack/prod/x`, tls],
		["kms:Decrypt", source.keyArn, throughS3("eu-central-1")],
		["kms:Encrypt", replica.keyArn, throughS3("eu-west-1")],
		["kms:GenerateDataKey", replica.keyArn, throughS3("eu-west-1")],
	])("may %s on %s", async (action, resource, context) => {
		expect(await verdict([policy], action, resource, context)).toBe("Allowed");
	});

	test.each<[action: string, resource: string, context: Context]>([
		["s3:ReplicateDelete", `${replica.bucketArn}/persistent-stack/prod/x`, tls],
		["s3:DeleteObject", `${replica.bucketArn}/persistent-stack/prod/x`, tls],
		["s3:ReplicateObject", own, tls],
		["s3:DeleteObject", own, tls],
	])("may not %s on %s", async (action, resource, context) => {
		expect(await verdict([policy], action, resource, context)).toBe("ImplicitlyDenied");
	});
});

describe("the simulator itself", () => {
	let misspelt: unknown;
	beforeAll(async () => {
		misspelt = await verdict([everyRight], "s3:PutObjekt", own, tls).catch((error) => error);
	});

	test("refuses an action that AWS does not have, so that no denial above is one of a misspelt name", () => {
		expect(misspelt).toBeInstanceOf(Error);
	});
});
