/** Who may do what with the offsite bucket, as AWS policy documents. Plain values in, plain values out. */

export interface PolicyStatement {
	readonly Sid: string;
	readonly Effect: "Allow" | "Deny";
	readonly Principal?: "*" | { readonly Service: string };
	readonly Action: string | readonly string[];
	readonly Resource?: string | readonly string[];
	/** Operator, condition key, value. */
	readonly Condition?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export interface PolicyDocument {
	readonly Version: "2012-10-17";
	readonly Statement: readonly PolicyStatement[];
}

/** A bucket with the key that encrypts it. */
export interface KeyedBucket {
	readonly bucketArn: string;
	readonly keyArn: string;
	readonly region: string;
}

/** The part of a bucket that one stack's copies are in. */
export interface StackKeys extends KeyedBucket {
	/** What every key begins with, without the slash at its end. */
	readonly keyPrefix: string;
	/** ARNs of the keys that older copies are encrypted with. */
	readonly oldKeyArns: readonly string[];
}

const document = (...statements: readonly PolicyStatement[]): PolicyDocument => ({
	Version: "2012-10-17",
	Statement: statements,
});

const encryption = "s3:x-amz-server-side-encryption";
const encryptionKey = "s3:x-amz-server-side-encryption-aws-kms-key-id";
const customerKey = "s3:x-amz-server-side-encryption-customer-algorithm";

/**
 * What nobody may do, whatever else he may. A request that says nothing of encryption gets the bucket's own key;
 * one that asks for another is refused. So is a write that would replace an object: it has to carry
 * `If-None-Match: *`, which also means that nothing can be copied into the bucket.
 */
export function bucketPolicy({
	bucketArn,
	keyArn,
}: Pick<KeyedBucket, "bucketArn" | "keyArn">): PolicyDocument {
	const objects = `${bucketArn}/*`;
	const deny = (
		Sid: string,
		Action: string,
		Resource: PolicyStatement["Resource"],
		Condition: PolicyStatement["Condition"],
	): PolicyStatement => ({ Sid, Effect: "Deny", Principal: "*", Action, Resource, Condition });
	return document(
		deny("DenyPlainHttp", "s3:*", [bucketArn, objects], { Bool: { "aws:SecureTransport": "false" } }),
		deny("DenyOldTls", "s3:*", [bucketArn, objects], { NumericLessThan: { "s3:TlsVersion": "1.2" } }),
		deny("DenyOtherEncryption", "s3:PutObject", objects, {
			Null: { [encryption]: "false" },
			StringNotEquals: { [encryption]: "aws:kms" },
		}),
		deny("DenyOtherKeys", "s3:PutObject", objects, {
			Null: { [encryptionKey]: "false" },
			ArnNotEquals: { [encryptionKey]: keyArn },
		}),
		// Without a key's name this asks for AWS's own key instead of the bucket's.
		deny("DenyUnnamedKey", "s3:PutObject", objects, {
			Null: { [encryptionKey]: "true" },
			StringEquals: { [encryption]: "aws:kms" },
		}),
		deny("DenyCustomerKeys", "s3:PutObject", objects, { Null: { [customerKey]: "false" } }),
		// The parts of a multipart upload create no object; its completion does.
		deny("DenyOverwrite", "s3:PutObject", objects, {
			Null: { "s3:if-none-match": "true" },
			Bool: { "s3:ObjectCreationOperation": "true" },
		}),
	);
}

/** Puts copies, tags them, reads back what it put. Deletes nothing and changes nothing of the bucket, ever. */
export function writerPolicy({
	bucketArn,
	keyArn,
	region,
	keyPrefix,
	oldKeyArns,
}: StackKeys): PolicyDocument {
	return document(
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
			Resource: `${bucketArn}/${keyPrefix}/*`,
		},
		listing("List", "s3:ListBucket", bucketArn, keyPrefix),
		// AWS knows no condition on the prefix for this one.
		{
			Sid: "ListUnfinishedUploads",
			Effect: "Allow",
			Action: "s3:ListBucketMultipartUploads",
			Resource: bucketArn,
		},
		keyUse(["kms:Decrypt", "kms:GenerateDataKey"], keyArn, region),
		...oldKeyUse(oldKeyArns, region),
		// A denial holds against every other policy that the identity may be given.
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
			Resource: [bucketArn, `${bucketArn}/*`],
		},
	);
}

/** Reads copies and their older versions, for a restore; writes nothing. */
export function readerPolicy({
	bucketArn,
	keyArn,
	region,
	keyPrefix,
	oldKeyArns,
}: StackKeys): PolicyDocument {
	return document(
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
			Resource: `${bucketArn}/${keyPrefix}/*`,
		},
		listing("List", ["s3:ListBucket", "s3:ListBucketVersions"], bucketArn, keyPrefix),
		keyUse("kms:Decrypt", keyArn, region),
		...oldKeyUse(oldKeyArns, region),
	);
}

/** Copies new objects to the replica, with their tags; deletions are not replicated. */
export function replicationPolicy(source: KeyedBucket, replica: KeyedBucket): PolicyDocument {
	return document(
		{
			Sid: "ReadTheConfiguration",
			Effect: "Allow",
			Action: ["s3:GetReplicationConfiguration", "s3:ListBucket"],
			Resource: source.bucketArn,
		},
		{
			Sid: "ReadTheSource",
			Effect: "Allow",
			Action: [
				"s3:GetObjectLegalHold",
				"s3:GetObjectRetention",
				"s3:GetObjectVersionAcl",
				"s3:GetObjectVersionForReplication",
				"s3:GetObjectVersionTagging",
			],
			Resource: `${source.bucketArn}/*`,
		},
		{
			Sid: "WriteTheReplica",
			Effect: "Allow",
			Action: ["s3:ReplicateObject", "s3:ReplicateTags"],
			Resource: `${replica.bucketArn}/*`,
		},
		keyUse("kms:Decrypt", source.keyArn, source.region, "DecryptTheSource"),
		keyUse(["kms:Encrypt", "kms:GenerateDataKey"], replica.keyArn, replica.region, "EncryptTheReplica"),
	);
}

/** Lets a service of AWS take a role. */
export function trustPolicy(service: string): PolicyDocument {
	return document({
		Sid: "Trust",
		Effect: "Allow",
		Principal: { Service: service },
		Action: "sts:AssumeRole",
	});
}

function listing(
	Sid: string,
	Action: PolicyStatement["Action"],
	bucketArn: string,
	keyPrefix: string,
): PolicyStatement {
	return {
		Sid,
		Effect: "Allow",
		Action,
		Resource: bucketArn,
		Condition: { StringLike: { "s3:prefix": `${keyPrefix}/*` } },
	};
}

function oldKeyUse(keyArns: readonly string[], region: string): PolicyStatement[] {
	return keyArns.length > 0 ? [keyUse("kms:Decrypt", keyArns, region, "ReadOlderCopies")] : [];
}

/** Use of a key through S3 alone. */
function keyUse(
	Action: PolicyStatement["Action"],
	keyArn: string | readonly string[],
	region: string,
	Sid = "UseTheKey",
): PolicyStatement {
	return {
		Sid,
		Effect: "Allow",
		Action,
		Resource: keyArn,
		Condition: { StringEquals: { "kms:ViaService": `s3.${region}.amazonaws.com` } },
	};
}
