/** Offsite copies: what else the settings make of the bucket, and the options that keep it. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { bucketArn, keyArn, lifecycleRules } from "./expected-offsite.ts";
import { type Recorded, type RecordedStack, recordStack, secretMark } from "./record.ts";

type Settings = Parameters<typeof recordStack>[0]["settings"];

const prod = (settings: Settings = {}, offsiteCredentials?: string) =>
	recordStack({ stack: "prod", settings, ...(offsiteCredentials && { offsiteCredentials }) });

const atAws = ({ resources }: RecordedStack) => resources.filter(({ type }) => type.startsWith("aws:"));
const names = (resources: readonly Recorded[]) => resources.map(({ name }) => name).sort();
const told = (stack: RecordedStack) => {
	const { envs } = stack.named("stack-backup-container").inputs;
	const config = (envs as string[]).find((line) => line.startsWith("AGENT_CONFIG=")) ?? "";
	return JSON.parse(config.replace("AGENT_CONFIG=", "")).offsite;
};
const uploads = (stack: RecordedStack) =>
	stack.named("stack-backup-container").inputs.uploads as { file: string; content: string }[];
const policyOf = (stack: RecordedStack, name: string) =>
	JSON.parse(String(stack.named(name).inputs.policy)) as {
		Statement: { Sid: string; Resource: unknown; Condition: unknown; Action: unknown }[];
	};

/** Everything that an offsite stack can have. */
const everything: Settings = {
	offsiteReplicaBucket: "example-replica",
	offsiteReplicaRegion: "eu-west-1",
	offsiteObjectLock: "governance",
	offsiteObjectLockDays: 30,
	offsiteTransitionDays: 45,
	offsiteStorageClass: "GLACIER_IR",
	offsiteAccessLogBucket: "example-logs",
	labels: ["team=billing"],
};

describe("a bucket with everything", () => {
	let stack: RecordedStack;
	beforeAll(async () => {
		stack = await prod(everything);
	});

	test("is left behind by a destroy with its key, its settings and its replica; identities are not", () => {
		const identities = (resource: Recorded) => resource.parent === "stack-offsite-identities";
		expect(names(atAws(stack).filter(({ options }) => !options.retainOnDelete))).toEqual(
			names(atAws(stack).filter(identities)),
		);
		expect(atAws(stack).filter(identities)).toHaveLength(7);
		expect(atAws(stack)).toHaveLength(31);
	});

	test("is protected, and so is the key without which nothing in it can be read", () => {
		expect(names(atAws(stack).filter(({ options }) => options.protect))).toEqual([
			"stack-offsite-main-bucket",
			"stack-offsite-main-key",
			"stack-offsite-replica-bucket",
			"stack-offsite-replica-key",
		]);
	});

	test("is never emptied by the provider, nor replaced to switch Object Lock on", () => {
		for (const { inputs, options } of stack.ofType("aws:s3/bucket:Bucket")) {
			expect(inputs).toMatchObject({ forceDestroy: false, objectLockEnabled: true });
			expect(options.ignoreChanges).toEqual(["objectLockEnabled"]);
		}
	});

	test("has nothing inline that a sibling resource says", () => {
		for (const { inputs } of stack.ofType("aws:s3/bucket:Bucket")) {
			expect(Object.keys(inputs).sort()).toEqual(["bucket", "forceDestroy", "objectLockEnabled", "tags"]);
		}
	});

	test("bears the stack's labels as tags, on everything that can", () => {
		const tags = { "persistent-stack.owner": "persistent-stack/prod", team: "billing" };
		const tagged = atAws(stack).filter(({ inputs }) => "tags" in inputs);
		expect(tagged.map(({ inputs }) => inputs.tags)).toEqual(tagged.map(() => tags));
		expect(new Set(tagged.map(({ type }) => type))).toEqual(
			new Set([
				"aws:s3/bucket:Bucket",
				"aws:kms/key:Key",
				"aws:iam/user:User",
				"aws:iam/policy:Policy",
				"aws:iam/role:Role",
			]),
		);
	});

	test("locks every new copy", () => {
		for (const which of ["main", "replica"]) {
			expect(stack.named(`stack-offsite-${which}-object-lock`).inputs).toEqual({
				bucket: which === "main" ? "example-persistent-stack-prod" : "example-replica",
				objectLockEnabled: "Enabled",
				rule: { defaultRetention: { mode: "GOVERNANCE", days: 30 } },
			});
		}
		expect(told(stack).objectLock).toEqual({ mode: "governance", days: 30 });
	});

	test("moves copies of this stack to cheaper storage, beside the rules that every bucket has", () => {
		expect(stack.named("stack-offsite-main-lifecycle").inputs.rules).toEqual([
			...lifecycleRules,
			{
				id: "move-to-cheaper-storage",
				filter: { prefix: "persistent-stack/prod/" },
				transitions: [{ days: 45, storageClass: "GLACIER_IR" }],
				status: "Enabled",
			},
		]);
	});

	test("writes an access log into another bucket, and its replica, which is elsewhere, does not", () => {
		expect(
			stack.ofType("aws:s3/bucketLogging:BucketLogging").map(({ name, inputs }) => [name, inputs]),
		).toEqual([
			[
				"stack-offsite-main-access-log",
				{
					bucket: "example-persistent-stack-prod",
					targetBucket: "example-logs",
					targetPrefix: "example-persistent-stack-prod/",
				},
			],
		]);
	});

	test("is made in its region and the replica in the other, each with all that belongs to it", () => {
		expect(stack.ofType("pulumi:providers:aws").map(({ name, inputs }) => [name, inputs.region])).toEqual([
			["stack-offsite-aws", "eu-central-1"],
			["stack-offsite-replica-aws", "eu-west-1"],
		]);
		for (const { name, parent, options } of atAws(stack)) {
			const provider = parent === "stack-offsite-replica" ? "stack-offsite-replica-aws" : "stack-offsite-aws";
			expect([name, options.provider]).toEqual([name, provider]);
		}
		expect(atAws(stack).filter(({ parent }) => parent === "stack-offsite-replica").length).toBe(
			atAws(stack).filter(({ parent }) => parent === "stack-offsite-main").length - 1,
		);
	});

	test("is replicated with tags and under the replica's own key, deletions left out, once both have versions", () => {
		const { inputs, options } = stack.named("stack-offsite-replication-configuration");
		expect(inputs).toEqual({
			bucket: "example-persistent-stack-prod",
			role: "arn:aws:iam::of:example-persistent-stack-prod-replica",
			rules: [
				{
					id: "replicate-everything",
					status: "Enabled",
					priority: 1,
					filter: { prefix: "" },
					deleteMarkerReplication: { status: "Disabled" },
					sourceSelectionCriteria: { sseKmsEncryptedObjects: { status: "Enabled" } },
					destination: {
						bucket: "arn:aws:s3:::example-replica",
						encryptionConfiguration: { replicaKmsKeyId: "arn:aws:kms:of:stack-offsite-replica-key" },
					},
				},
			],
		});
		expect(options.dependencies).toEqual(
			expect.arrayContaining(["stack-offsite-main-versioning", "stack-offsite-replica-versioning"]),
		);
		expect(policyOf(stack, "stack-offsite-replication-role-policy")).toEqual({
			Version: "2012-10-17",
			Statement: [
				{
					Sid: "ReadTheConfiguration",
					Effect: "Allow",
					Action: ["s3:GetReplicationConfiguration", "s3:ListBucket"],
					Resource: bucketArn,
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
					Resource: `${bucketArn}/*`,
				},
				{
					Sid: "WriteTheReplica",
					Effect: "Allow",
					Action: ["s3:ReplicateObject", "s3:ReplicateTags"],
					Resource: "arn:aws:s3:::example-replica/*",
				},
				{
					Sid: "DecryptTheSource",
					Effect: "Allow",
					Action: "kms:Decrypt",
					Resource: keyArn,
					Condition: { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } },
				},
				{
					Sid: "EncryptTheReplica",
					Effect: "Allow",
					Action: ["kms:Encrypt", "kms:GenerateDataKey"],
					Resource: "arn:aws:kms:of:stack-offsite-replica-key",
					Condition: { StringEquals: { "kms:ViaService": "s3.eu-west-1.amazonaws.com" } },
				},
			],
		});
	});

	test("is there, with its identities, before the sidecar that uploads to it", () => {
		const component = stack.resources.find(({ name, custom }) => name === "stack-backup" && !custom);
		expect(component?.options.dependencies).toEqual(expect.arrayContaining(names(atAws(stack))));
	});

	test("has its versions before a lifecycle or a lock, and its public access closed before a policy", () => {
		const dependencies = (name: string) => stack.named(`stack-offsite-main-${name}`).options.dependencies;
		expect(dependencies("lifecycle")).toContain("stack-offsite-main-versioning");
		expect(dependencies("object-lock")).toContain("stack-offsite-main-versioning");
		expect(dependencies("policy")).toContain("stack-offsite-main-public-access");
	});
});

describe.each([
	["remove", false],
	["retain", false],
	["protect", true],
] as const)("under removalPolicy %s", (removalPolicy, protect) => {
	test(`bucket and key are retained, and protected: ${protect}`, async () => {
		const stack = await prod({ removalPolicy });
		for (const name of ["stack-offsite-main-bucket", "stack-offsite-main-key"]) {
			expect(stack.named(name).options).toMatchObject({ protect, retainOnDelete: true });
		}
	});
});

test("a bucket that adopt names is taken over instead of made, with its replication's role, and no other is", async () => {
	const { offsiteReplicaBucket, offsiteReplicaRegion } = everything;
	const replica = { offsiteReplicaBucket, offsiteReplicaRegion } as NonNullable<Settings>;
	const taken = async (...adopt: string[]) => {
		const stack = await prod({ ...replica, adopt });
		return stack.resources
			.filter(({ options }) => options.importId !== "")
			.map(({ name, options }) => `${name}: ${options.importId}`)
			.sort();
	};
	expect(await taken("example-persistent-stack-prod")).toEqual([
		"stack-offsite-main-bucket: example-persistent-stack-prod",
		"stack-offsite-replication-role: example-persistent-stack-prod-replica",
	]);
	expect(await taken("example-replica")).toEqual(["stack-offsite-replica-bucket: example-replica"]);
	expect(await taken()).toEqual([]);
});

test("given keys are used wherever the stack's own would be, and none is made", async () => {
	const given = "arn:aws:kms:eu-central-1:111122223333:key/1234";
	const givenElsewhere = "arn:aws:kms:eu-west-1:111122223333:key/5678";
	const stack = await prod({
		...everything,
		offsiteKmsKey: given,
		offsiteReplicaKmsKey: givenElsewhere,
	});
	expect(atAws(stack).filter(({ type }) => type.startsWith("aws:kms/"))).toEqual([]);
	expect(JSON.stringify(stack.named("stack-offsite-main-encryption").inputs.rules)).toContain(given);
	for (const name of ["main-policy", "identities-writer-policy", "identities-reader-policy"]) {
		expect(stack.named(`stack-offsite-${name}`).inputs.policy).toContain(given);
	}
	for (const name of ["replica-encryption", "replica-policy", "replication-configuration"]) {
		expect(JSON.stringify(stack.named(`stack-offsite-${name}`).inputs)).toContain(givenElsewhere);
	}
	expect(told(stack).kmsKeyId).toBe(given);
});

test("old keys are there to read with, for writer and reader, and nothing is written under them", async () => {
	const old = "arn:aws:kms:eu-central-1:111122223333:key/old";
	const stack = await prod({ offsiteOldKmsKeys: [old] });
	const naming = atAws(stack).filter(({ inputs }) => JSON.stringify(inputs).includes(old));
	expect(names(naming)).toEqual([
		"stack-offsite-identities-reader-policy",
		"stack-offsite-identities-writer-policy",
	]);
	for (const { name } of naming) {
		expect(policyOf(stack, name).Statement).toContainEqual({
			Sid: "ReadOlderCopies",
			Effect: "Allow",
			Action: "kms:Decrypt",
			Resource: [old],
			Condition: { StringEquals: { "kms:ViaService": "s3.eu-central-1.amazonaws.com" } },
		});
	}
});

describe("credentials", () => {
	const users = (stack: RecordedStack) => names(stack.ofType("aws:iam/user:User"));

	test("of the machine's role: no user, no key, no file, and the role may write", async () => {
		const stack = await prod({ offsiteCredentials: "instance", offsiteWriterRole: "docker-host" });
		expect(users(stack)).toEqual([]);
		expect(stack.ofType("aws:iam/accessKey:AccessKey")).toEqual([]);
		expect(uploads(stack).map(({ file }) => file)).not.toContain("/run/secrets/offsite_credentials");
		expect(stack.named("stack-offsite-identities-writer-attachment").inputs).toEqual({
			role: "docker-host",
			policyArn: "arn:aws:iam::of:example-persistent-stack-prod-writer",
		});
		expect(told(stack).credentials).toEqual({ source: "instance" });
	});

	test("of a role that is not named: nothing is attached, and the outputs say what to attach", async () => {
		const stack = await prod({ offsiteCredentials: "instance" });
		expect(stack.ofType("aws:iam/rolePolicyAttachment:RolePolicyAttachment")).toEqual([]);
		expect(stack.resources.find(({ name }) => name === "stack")?.outputs).toMatchObject({
			offsite: {
				bucket: "example-persistent-stack-prod",
				keyPrefix: "persistent-stack/prod",
				writerPolicy: "arn:aws:iam::of:example-persistent-stack-prod-writer",
				readerPolicy: "arn:aws:iam::of:example-persistent-stack-prod-reader",
			},
		});
	});

	test("of a profile: no user, and its file is a secret that no inspect shows", async () => {
		const text = `[default]\naws_access_key_id = AKIA\naws_secret_access_key = ${secretMark}\n`;
		const stack = await prod({ offsiteCredentials: "profile" }, text);
		expect(users(stack)).toEqual([]);
		expect(uploads(stack)).toContainEqual({
			file: "/run/secrets/offsite_credentials",
			content: text,
			permissions: "0444",
		});
		const { wire } = stack.named("stack-backup-container");
		const upload = (wire.uploads as { file: string; content: unknown }[]).at(-1);
		expect(upload?.content).toMatchObject({ value: text });
		const { uploads: _, ...inspectable } = wire;
		expect(JSON.stringify(inspectable)).not.toContain(secretMark);
	});
});

describe("another service", () => {
	const elsewhere: Settings = {
		offsite: true,
		offsiteRetentionDays: 90,
		offsiteBucket: "shop.backups",
		offsiteEndpoint: "https://s3.example.com:9000",
		offsitePathStyle: true,
		offsiteChecksumMode: "when_required",
		offsiteCredentials: "profile",
	};

	test("has nothing declared at AWS, so that either engine applies the stack", async () => {
		const stack = await recordStack({ stack: "dev", settings: elsewhere, offsiteCredentials: "[default]" });
		expect(stack.resources.filter(({ type }) => type.includes("aws"))).toEqual([]);
		expect(stack.named("stack-networks-egress").inputs.internal).toBe(false);
		expect(told(stack)).toMatchObject({ endpoint: "https://s3.example.com:9000", forcePathStyle: true });
		expect(stack.resources.find(({ name }) => name === "stack")?.outputs?.offsite).toEqual({
			bucket: "shop.backups",
			keyPrefix: "persistent-stack/dev",
		});
	});
});
