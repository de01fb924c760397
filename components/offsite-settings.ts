/** The settings of offsite copies; how they have to fit one another stands in offsite-rules.ts. */
import * as z from "zod";
import { days, define, path, text } from "./setting-definition.ts";

const region = (description: string) =>
	text(description, "", /^$|^[a-z0-9]+(-[a-z0-9]+)*$/, "write a region such as eu-central-1");

const bucket = (description: string) =>
	text(
		description,
		"",
		/^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
		"write a bucket's name: 3 to 63 lower-case letters, digits and hyphens",
	);

const keyArn = /^arn:aws:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/;
const kmsKey = (what: string) =>
	text(
		`ARN of the KMS key that encrypts ${what}. Empty: a key of the stack's own, rotated every year.`,
		"",
		new RegExp(`^$|${keyArn.source}`),
		"write the ARN of a key, arn:aws:kms:REGION:ACCOUNT:key/ID, or leave it empty",
	);

export const offsiteDefinitions = {
	offsite: define<boolean>({
		type: "boolean",
		description: "Whether recovery points are also kept in an S3 bucket.",
		default: false,
		schema: z.boolean(),
		fix: "write true or false",
	}),
	offsiteRetentionDays: days(
		"Days for which recovery points are kept offsite; 0 where there is no offsite.",
		0,
	),
	offsiteBucket: bucket(
		"Bucket of the offsite copies; names are taken worldwide. One that begins with example- is a placeholder for previews.",
	),
	offsiteRegion: region("Region of the bucket."),
	offsitePrefix: text(
		"Keys begin with this prefix and the stack's name.",
		"persistent-stack",
		/^[a-zA-Z0-9][\w-]*(\/[a-zA-Z0-9][\w-]*)*$/,
		"write letters, digits, hyphens and underscores, with / between parts",
	),
	offsiteTransitionDays: days("Days after which copies move to offsiteStorageClass; 0: never.", 0),
	offsiteStorageClass: define<"STANDARD_IA" | "INTELLIGENT_TIERING" | "GLACIER_IR">({
		type: "string",
		description: "Storage class for older copies: one of those that can be read at once.",
		default: "STANDARD_IA",
		schema: z.enum(["STANDARD_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]),
		fix: "write STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR",
	}),
	offsiteNoncurrentDays: days(
		"Days for which a copy that expired or was overwritten can be brought back; at least a week, to notice it.",
		30,
		7,
	),
	offsiteObjectLock: define<"off" | "governance" | "compliance">({
		type: "string",
		description:
			"Object Lock: nobody deletes a copy before its time; governance: but for those allowed to bypass it; compliance: not even the account's root.",
		default: "off",
		schema: z.enum(["off", "governance", "compliance"]),
		fix: "write off, governance or compliance",
	}),
	offsiteObjectLockDays: days("Days for which Object Lock holds a new copy.", 0),
	offsiteKmsKey: kmsKey("the bucket"),
	offsiteOldKmsKeys: define<string[]>({
		type: "array",
		description: "ARNs of KMS keys that older copies are encrypted with, so that they can still be read.",
		default: [],
		schema: z.array(z.string().regex(keyArn)),
		fix: 'write a list of ARNs of keys, such as ["arn:aws:kms:REGION:ACCOUNT:key/ID"]',
	}),
	offsiteAccessLogBucket: bucket("Bucket that receives the access log. Empty: no access log."),
	offsiteReplicaBucket: bucket(
		"Bucket, made by this stack in another region, that copies are replicated to.",
	),
	offsiteReplicaRegion: region("Region of offsiteReplicaBucket."),
	offsiteReplicaKmsKey: kmsKey("offsiteReplicaBucket"),
	offsiteCredentials: define<"generated" | "profile" | "instance">({
		type: "string",
		description:
			"Whose rights the sidecar uploads with: generated: a key of a user that this stack makes; profile: offsiteProfile; instance: the role of the machine that Docker runs on.",
		default: "generated",
		schema: z.enum(["generated", "profile", "instance"]),
		fix: "write generated, profile or instance",
	}),
	offsiteProfile: text(
		"Profile of offsiteCredentialsFile whose key the sidecar gets.",
		"default",
		/^[\w.@+-]+$/,
		"write the name of a profile, which stands in brackets in the file",
	),
	offsiteCredentialsFile: path(
		"File in the form of ~/.aws/credentials on the machine that runs up.",
		"~/.aws/credentials",
	),
	offsiteWriterRole: text(
		"Name of the machine's IAM role, which gets the writer's policy. Empty: attach it yourself.",
		"",
		/^$|^[\w+=,.@-]{1,64}$/,
		"write the name of a role, not its ARN",
	),
	offsiteEndpoint: define<string>({
		type: "string",
		description:
			"Address of an S3-compatible service that is not AWS: https, or http in a network you trust. The bucket must exist there.",
		default: "",
		schema: z.union([z.literal(""), z.url({ protocol: /^https?$/ })]),
		fix: "write an address such as https://s3.example.com, or leave it empty for AWS",
	}),
	offsitePathStyle: define<boolean>({
		type: "boolean",
		description: "Whether offsiteEndpoint wants the bucket's name in the path instead of the host name.",
		default: false,
		schema: z.boolean(),
		fix: "write true or false",
	}),
	offsiteChecksumMode: define<"when_supported" | "when_required">({
		type: "string",
		description:
			"when_required leaves out the checksums that some services at an offsiteEndpoint do not understand.",
		default: "when_supported",
		schema: z.enum(["when_supported", "when_required"]),
		fix: "write when_supported or when_required",
	}),
};
