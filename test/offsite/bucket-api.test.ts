/**
 * The declared bucket, sent to a server that knows the S3 API, setting by setting, and read back. It proves that
 * the inputs are what the API takes and keeps; that the provider sends them so is its own affair.
 */
import * as s3 from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Properties, Value } from "../../engine/local/values.ts";
import { isObject } from "../../engine/local/values.ts";
import { type Recorded, type RecordedStack, recordStack } from "../unit/program/record.ts";
import { installed, kinds, type S3Server, startServer } from "./s3-servers.ts";

const program = await installed(kinds.moto);
const maybe = program ? test : test.skip;

/** Names of the API that are not those of the provider with a capital letter. */
const names: Readonly<Record<string, string>> = {
	id: "ID",
	kmsMasterKeyId: "KMSMasterKeyID",
	replicaKmsKeyId: "ReplicaKmsKeyID",
	sseAlgorithm: "SSEAlgorithm",
};

/** An input as the API has it: capitals; tags as a list; encryption types in an object of their own. */
function asApi(value: Value, key = ""): unknown {
	if (Array.isArray(value)) {
		const items = value.map((item) => asApi(item));
		return key === "blockedEncryptionTypes" ? { EncryptionType: items } : items;
	}
	if (!isObject(value)) return value;
	if (key === "tags") return Object.entries(value).map(([Key, Value]) => ({ Key, Value }));
	return Object.fromEntries(
		Object.entries(value).map(([name, part]) => [
			names[name] ?? name.replace(/^./, (letter) => letter.toUpperCase()),
			asApi(part, name),
		]),
	);
}

/** How one resource type is sent, and what is read back of it; both as the API has them. */
interface Mapping {
	readonly send: (client: s3.S3Client, bucket: string, inputs: Properties) => Promise<unknown>;
	readonly read: (client: s3.S3Client, bucket: string) => Promise<unknown>;
	readonly declared: (inputs: Properties) => unknown;
}

/** A setting whose inputs, but for the bucket's name, are the API's own structure. */
function setting(
	send: (client: s3.S3Client, bucket: string, value: never) => Promise<unknown>,
	read: Mapping["read"],
	declared: Mapping["declared"] = ({ bucket: _, ...inputs }) => asApi(inputs),
): Mapping {
	return {
		declared,
		read,
		send: (client, bucket, inputs) => send(client, bucket, declared(inputs) as never),
	};
}

const mappings: Readonly<Record<string, Mapping>> = {
	"bucket:Bucket": setting(
		(client, Bucket, TagSet: s3.Tag[]) =>
			client.send(new s3.PutBucketTaggingCommand({ Bucket, Tagging: { TagSet } })),
		async (client, Bucket) => (await client.send(new s3.GetBucketTaggingCommand({ Bucket }))).TagSet,
		({ tags }) => asApi(tags ?? null, "tags"),
	),
	"bucketVersioning:BucketVersioning": setting(
		(client, Bucket, value: { VersioningConfiguration: s3.VersioningConfiguration }) =>
			client.send(new s3.PutBucketVersioningCommand({ Bucket, ...value })),
		async (client, Bucket) => {
			const { Status } = await client.send(new s3.GetBucketVersioningCommand({ Bucket }));
			return { VersioningConfiguration: { Status } };
		},
	),
	"bucketLifecycleConfiguration:BucketLifecycleConfiguration": setting(
		(client, Bucket, { Rules, ...rest }: { Rules: s3.LifecycleRule[] }) =>
			client.send(
				new s3.PutBucketLifecycleConfigurationCommand({
					Bucket,
					LifecycleConfiguration: { Rules },
					...rest,
				}),
			),
		async (client, Bucket) => {
			const { Rules } = await client.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket }));
			return { Rules };
		},
		({ rules }) => asApi({ rules: rules ?? null }),
	),
	"bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": setting(
		(client, Bucket, ServerSideEncryptionConfiguration: s3.ServerSideEncryptionConfiguration) =>
			client.send(new s3.PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration })),
		async (client, Bucket) =>
			(await client.send(new s3.GetBucketEncryptionCommand({ Bucket }))).ServerSideEncryptionConfiguration,
	),
	"bucketPublicAccessBlock:BucketPublicAccessBlock": setting(
		(client, Bucket, PublicAccessBlockConfiguration: s3.PublicAccessBlockConfiguration) =>
			client.send(new s3.PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration })),
		async (client, Bucket) =>
			(await client.send(new s3.GetPublicAccessBlockCommand({ Bucket }))).PublicAccessBlockConfiguration,
	),
	"bucketOwnershipControls:BucketOwnershipControls": setting(
		(client, Bucket, OwnershipControls: s3.OwnershipControls) =>
			client.send(new s3.PutBucketOwnershipControlsCommand({ Bucket, OwnershipControls })),
		async (client, Bucket) =>
			(await client.send(new s3.GetBucketOwnershipControlsCommand({ Bucket }))).OwnershipControls,
		({ rule }) => ({ Rules: [asApi(rule ?? null)] }),
	),
	"bucketPolicy:BucketPolicy": setting(
		(client, Bucket, policy: unknown) =>
			client.send(new s3.PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify(policy) })),
		async (client, Bucket) =>
			JSON.parse((await client.send(new s3.GetBucketPolicyCommand({ Bucket }))).Policy ?? ""),
		({ policy }) => JSON.parse(String(policy)),
	),
	"bucketObjectLockConfiguration:BucketObjectLockConfiguration": setting(
		(client, Bucket, ObjectLockConfiguration: s3.ObjectLockConfiguration) =>
			client.send(new s3.PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration })),
		async (client, Bucket) =>
			(await client.send(new s3.GetObjectLockConfigurationCommand({ Bucket }))).ObjectLockConfiguration,
	),
	"bucketLogging:BucketLogging": setting(
		(client, Bucket, LoggingEnabled: s3.LoggingEnabled) =>
			client.send(new s3.PutBucketLoggingCommand({ Bucket, BucketLoggingStatus: { LoggingEnabled } })),
		async (client, Bucket) => (await client.send(new s3.GetBucketLoggingCommand({ Bucket }))).LoggingEnabled,
	),
	"bucketReplicationConfig:BucketReplicationConfig": setting(
		(client, Bucket, ReplicationConfiguration: s3.ReplicationConfiguration) =>
			client.send(new s3.PutBucketReplicationCommand({ Bucket, ReplicationConfiguration })),
		async (client, Bucket) =>
			(await client.send(new s3.GetBucketReplicationCommand({ Bucket }))).ReplicationConfiguration,
	),
};

/** A bucket that access logs may be delivered to, as an operator prepares one. */
const logPolicy = {
	Version: "2012-10-17",
	Statement: [
		{
			Sid: "LogDelivery",
			Effect: "Allow",
			Principal: { Service: "logging.s3.amazonaws.com" },
			Action: "s3:PutObject",
			Resource: "arn:aws:s3:::example-logs/*",
		},
	],
};

let server: S3Server;
let stack: RecordedStack;
const settingsOf = (bucket: string) =>
	stack.resources.filter(({ type, inputs }) => type.startsWith("aws:s3/") && inputs.bucket === bucket);

beforeAll(async () => {
	if (!program) return;
	server = await startServer(kinds.moto, program);
	stack = await recordStack({
		stack: "prod",
		settings: {
			offsiteReplicaBucket: "example-replica",
			offsiteReplicaRegion: "eu-west-1",
			offsiteObjectLock: "governance",
			offsiteObjectLockDays: 30,
			offsiteTransitionDays: 45,
			offsiteAccessLogBucket: "example-logs",
			labels: ["team=billing"],
		},
	});
	const { client } = server;
	const createBucket = (Bucket: string, region: Value | undefined, ObjectLockEnabledForBucket = false) =>
		client.send(
			new s3.CreateBucketCommand({
				Bucket,
				ObjectLockEnabledForBucket,
				CreateBucketConfiguration: { LocationConstraint: region as s3.BucketLocationConstraint },
			}),
		);
	await createBucket("example-logs", "eu-central-1");
	await client.send(
		new s3.PutBucketPolicyCommand({ Bucket: "example-logs", Policy: JSON.stringify(logPolicy) }),
	);
	for (const { inputs, options } of stack.ofType("aws:s3/bucket:Bucket").toReversed()) {
		const { region } = stack.named(options.provider).inputs;
		await createBucket(String(inputs.bucket), region, Boolean(inputs.objectLockEnabled));
	}
}, 70_000);
afterAll(() => server?.stop());

/** Where moto is not as S3: it takes the first two and does not keep them, and says the third unasked. */
const peculiar = new Set(["BlockedEncryptionTypes", "SourceSelectionCriteria", "Years"]);

function withoutPeculiar(value: unknown): unknown {
	return JSON.parse(JSON.stringify(value, (key, part) => (peculiar.has(key) ? undefined : part)));
}

const shortType = ({ type }: Recorded) => type.replace("aws:s3/", "");

maybe("both buckets have every setting that this test knows, and none that it does not", () => {
	const types = (bucket: string) => settingsOf(bucket).map(shortType).sort();
	const known = Object.keys(mappings).sort();
	expect(types("example-persistent-stack-prod")).toEqual(known);
	const notReplicatedFurther = known.filter((type) => !/Logging|Replication/.test(type));
	expect(types("example-replica")).toEqual(notReplicatedFurther);
});

maybe.each(["example-replica", "example-persistent-stack-prod"])(
	"%s takes its settings in the order of their dependencies, and says them again",
	async (bucket) => {
		const waiting = settingsOf(bucket);
		const sent: Recorded[] = [];
		while (waiting.length > 0) {
			const ready = waiting.findIndex(
				({ options }) => !waiting.some(({ name }) => options.dependencies.includes(name)),
			);
			const [resource] = waiting.splice(ready, 1);
			if (ready < 0 || !resource) throw new Error("the dependencies go in a circle");
			await mappings[shortType(resource)]?.send(server.client, bucket, resource.inputs);
			sent.push(resource);
		}
		for (const resource of sent) {
			const mapping = mappings[shortType(resource)] as Mapping;
			const said = await mapping.read(server.client, bucket);
			expect([resource.name, withoutPeculiar(said)]).toEqual([
				resource.name,
				withoutPeculiar(mapping.declared(resource.inputs)),
			]);
		}
	},
);
