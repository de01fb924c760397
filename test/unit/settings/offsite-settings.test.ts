/** What offsite settings go together: every rule once broken, once kept, and what the agent is told of the rest. */
import { describe, expect, test } from "@jest/globals";
import { offsitePolicy } from "../../../components/offsite-policy.ts";
import { parseSettings } from "../../../components/settings.ts";
import { SettingsError, type SettingsProblem } from "../../../components/settings-error.ts";

type Values = Readonly<Record<string, string>>;

/** The least that has to be said, at AWS and elsewhere. */
const aws: Values = {
	offsite: "true",
	offsiteBucket: "shop-backups",
	offsiteRegion: "eu-central-1",
	offsiteRetentionDays: "90",
};
const elsewhere: Values = {
	offsite: "true",
	offsiteBucket: "shop.backups",
	offsiteRetentionDays: "90",
	offsiteEndpoint: "https://s3.example.com",
	offsiteCredentials: "profile",
};

function parse(values: Values) {
	return parseSettings(
		"prod",
		Object.fromEntries(Object.entries(values).map(([key, value]) => [`persistent-stack:${key}`, value])),
	);
}

function problemsOf(values: Values): readonly SettingsProblem[] {
	try {
		parse(values);
	} catch (error) {
		if (error instanceof SettingsError) return error.problems;
		throw error;
	}
	return [];
}

const key = (region: string) => `arn:aws:kms:${region}:111122223333:key/1234`;
const only = (name: string, condition: string) => `${name} works only ${condition}; remove the line`;
const atAws = (name: string) => only(name, "at AWS, without offsiteEndpoint");

/** What is said, what of it is wrong, and the fix. */
const broken: readonly (readonly [base: Values, changes: Values, key: string, fix: string])[] = [
	[
		{},
		{ offsiteRetentionDays: "90" },
		"offsiteRetentionDays",
		"nothing is kept offsite while offsite is off; write offsite: true, or 0 days",
	],
	[aws, { offsiteBucket: "" }, "offsiteBucket", "offsite is on: write the bucket's name"],
	[
		aws,
		{ offsiteBucket: "shop.backups" },
		"offsiteBucket",
		"write at most 56 lower-case letters, digits and hyphens: identities are named after it, and a dot breaks TLS",
	],
	[
		aws,
		{ offsiteBucket: "x".repeat(57) },
		"offsiteBucket",
		"write at most 56 lower-case letters, digits and hyphens: identities are named after it, and a dot breaks TLS",
	],
	[
		aws,
		{ offsiteRegion: "" },
		"offsiteRegion",
		"offsite is on: write the bucket's region, such as eu-central-1",
	],
	...(["retentionDays", "weeklyRetentionDays", "manualRetentionDays", "safetyRetentionDays"] as const).map(
		(local) =>
			[
				aws,
				{ [local]: "91" },
				"offsiteRetentionDays",
				"offsite copies must live at least as long as local ones of every class; write 91 or more",
			] as const,
	),
	[
		aws,
		{
			offsiteRetentionDays: "0",
			retentionDays: "0",
			weeklyRetentionDays: "0",
			manualRetentionDays: "0",
			safetyRetentionDays: "0",
		},
		"offsiteRetentionDays",
		"offsite copies must live at least as long as local ones of every class; write 1 or more",
	],
	[
		aws,
		{ offsiteTransitionDays: "29" },
		"offsiteTransitionDays",
		"S3 moves nothing to STANDARD_IA before 30 days; write 30 or more, or 0 for never",
	],
	[
		aws,
		{ offsiteTransitionDays: "90" },
		"offsiteTransitionDays",
		"copies are kept 90 days, so it would never happen; write less, or 0 for never",
	],
	[
		aws,
		{ offsiteStorageClass: "GLACIER_IR" },
		"offsiteStorageClass",
		only("offsiteStorageClass", "with offsiteTransitionDays"),
	],
	[
		aws,
		{ offsiteObjectLockDays: "30" },
		"offsiteObjectLockDays",
		"Object Lock is off; write offsiteObjectLock: governance or compliance, or remove the line",
	],
	[
		aws,
		{ offsiteObjectLock: "governance" },
		"offsiteObjectLockDays",
		"offsiteObjectLock is governance; write for how many days, 1 or more",
	],
	[
		aws,
		{ offsiteObjectLock: "compliance", offsiteObjectLockDays: "91" },
		"offsiteObjectLockDays",
		"copies that retention lets go after 90 days would stay locked; write 90 or less",
	],
	[
		aws,
		{ offsiteKmsKey: key("us-east-1") },
		"offsiteKmsKey",
		"a bucket's key must be of its own region; write a key of eu-central-1",
	],
	[
		aws,
		{ offsiteAccessLogBucket: "shop-backups" },
		"offsiteAccessLogBucket",
		"a bucket that logs into itself logs its own log; write another bucket",
	],
	[
		aws,
		{ offsiteReplicaRegion: "eu-west-1" },
		"offsiteReplicaBucket",
		"write the name of a second bucket, or remove offsiteReplicaRegion",
	],
	[
		aws,
		{ offsiteReplicaBucket: "shop-backups", offsiteReplicaRegion: "eu-west-1" },
		"offsiteReplicaBucket",
		"write the name of a second bucket, or remove offsiteReplicaRegion",
	],
	[
		aws,
		{ offsiteReplicaBucket: "shop.replica", offsiteReplicaRegion: "eu-west-1" },
		"offsiteReplicaBucket",
		"write at most 56 lower-case letters, digits and hyphens",
	],
	...["", "eu-central-1"].map(
		(offsiteReplicaRegion) =>
			[
				aws,
				{ offsiteReplicaBucket: "shop-replica", offsiteReplicaRegion },
				"offsiteReplicaRegion",
				"write a region other than that of the bucket, eu-central-1",
			] as const,
	),
	[
		aws,
		{ offsiteReplicaKmsKey: key("eu-central-1") },
		"offsiteReplicaKmsKey",
		only("offsiteReplicaKmsKey", "with offsiteReplicaBucket"),
	],
	[
		aws,
		{
			offsiteReplicaBucket: "shop-replica",
			offsiteReplicaRegion: "eu-west-1",
			offsiteReplicaKmsKey: key("eu-central-1"),
		},
		"offsiteReplicaKmsKey",
		"a bucket's key must be of its own region; write a key of eu-west-1",
	],
	[
		elsewhere,
		{ offsiteCredentials: "generated" },
		"offsiteCredentials",
		"no user can be made at an offsiteEndpoint; write profile, and the key into offsiteCredentialsFile",
	],
	[
		elsewhere,
		{ offsiteCredentials: "instance" },
		"offsiteCredentials",
		"no user can be made at an offsiteEndpoint; write profile, and the key into offsiteCredentialsFile",
	],
	...(
		[
			["offsiteProfile", "backup", "profile"],
			["offsiteCredentialsFile", "./key", "profile"],
			["offsiteWriterRole", "docker-host", "instance"],
		] as const
	).map(
		([name, value, source]) =>
			[aws, { [name]: value }, name, only(name, `with offsiteCredentials: ${source}`)] as const,
	),
	[aws, { offsitePathStyle: "true" }, "offsitePathStyle", only("offsitePathStyle", "with offsiteEndpoint")],
	[
		aws,
		{ offsiteChecksumMode: "when_required" },
		"offsiteChecksumMode",
		only("offsiteChecksumMode", "with offsiteEndpoint"),
	],
	...(
		[
			["offsiteTransitionDays", "60"],
			["offsiteNoncurrentDays", "60"],
			["offsiteKmsKey", key("eu-central-1")],
			["offsiteOldKmsKeys", `["${key("eu-central-1")}"]`],
			["offsiteAccessLogBucket", "shop-logs"],
		] as const
	).map(([name, value]) => [elsewhere, { [name]: value }, name, atAws(name)] as const),
	[
		elsewhere,
		{ offsiteObjectLock: "governance", offsiteObjectLockDays: "30" },
		"offsiteObjectLock",
		atAws("offsiteObjectLock"),
	],
	[
		aws,
		{ labels: '["note=a*b"]' },
		"labels",
		"labels become tags of the bucket, and AWS takes no other characters than letters, digits, spaces and _ . : / = + - @, at most 256; write others",
	],
];

test.each(broken)("with %j, %j is refused at %s, with the fix", (base, changes, name, fix) => {
	const values: Values = { ...base, ...changes };
	const value = values[name] ?? (name === "offsiteObjectLockDays" ? "0" : "");
	expect(problemsOf(values)).toEqual([{ key: name, value, fix }]);
});

test("a replica elsewhere is refused once, by its bucket", () => {
	const values = { ...elsewhere, offsiteReplicaBucket: "shop-replica", offsiteReplicaRegion: "eu-west-1" };
	expect(problemsOf(values)).toEqual([
		{ key: "offsiteReplicaBucket", value: "shop-replica", fix: atAws("offsiteReplicaBucket") },
	]);
});

test("all that is wrong is named at once", () => {
	expect(problemsOf({ offsite: "true", offsitePathStyle: "true" }).map(({ key }) => key)).toEqual([
		"offsiteBucket",
		"offsiteRegion",
		"offsiteRetentionDays",
		"offsitePathStyle",
	]);
});

describe("accepted is", () => {
	test.each<[string, Values]>([
		["the least at AWS", aws],
		["the least elsewhere", elsewhere],
		["offsite days as long as the longest local ones", { ...aws, offsiteRetentionDays: "30" }],
		["a move to cheaper storage at the earliest day", { ...aws, offsiteTransitionDays: "30" }],
		[
			"a move to storage that takes copies at once",
			{ ...aws, offsiteTransitionDays: "1", offsiteStorageClass: "GLACIER_IR" },
		],
		["a lock as long as retention", { ...aws, offsiteObjectLock: "compliance", offsiteObjectLockDays: "90" }],
		["a given key of the region", { ...aws, offsiteKmsKey: key("eu-central-1") }],
		[
			"a replica in another region",
			{ ...aws, offsiteReplicaBucket: "shop-replica", offsiteReplicaRegion: "eu-west-1" },
		],
		["the role of the machine", { ...aws, offsiteCredentials: "instance", offsiteWriterRole: "docker-host" }],
		["a profile", { ...aws, offsiteCredentials: "profile", offsiteProfile: "backup" }],
		["labels that AWS takes as tags", { ...aws, labels: '["team=billing","note=a=b é"]' }],
		["labels that it does not take, where there is no AWS", { ...elsewhere, labels: '["note=a*b"]' }],
		[
			"what is said of a bucket while offsite is off",
			{ ...aws, offsite: "false", offsiteRetentionDays: "0" },
		],
	])("%s", (_what, values) => {
		expect(problemsOf(values)).toEqual([]);
	});
});

describe("the agent is told", () => {
	test("nothing where offsite is off", () => {
		expect(offsitePolicy(parse({}))).toBeUndefined();
	});

	test("of a bucket at AWS where it is, and that its key is in a file", () => {
		expect(offsitePolicy(parse(aws))).toEqual({
			bucket: "shop-backups",
			region: "eu-central-1",
			prefix: "persistent-stack",
			retentionDays: 90,
			credentials: { source: "file", file: "/run/secrets/offsite_credentials" },
		});
	});

	test("of another service how to speak to it", () => {
		const settings = parse({ ...elsewhere, offsitePathStyle: "true", offsiteChecksumMode: "when_required" });
		expect(offsitePolicy(settings)).toEqual({
			bucket: "shop.backups",
			region: "us-east-1",
			prefix: "persistent-stack",
			endpoint: "https://s3.example.com",
			forcePathStyle: true,
			checksumMode: "when_required",
			retentionDays: 90,
			credentials: { source: "file", file: "/run/secrets/offsite_credentials" },
		});
	});

	test("of Object Lock, a given key and a role what is set", () => {
		const settings = parse({
			...aws,
			offsitePrefix: "team/shop",
			offsiteCredentials: "instance",
			offsiteKmsKey: key("eu-central-1"),
			offsiteObjectLock: "governance",
			offsiteObjectLockDays: "30",
		});
		expect(offsitePolicy(settings)).toEqual({
			bucket: "shop-backups",
			region: "eu-central-1",
			prefix: "team/shop",
			retentionDays: 90,
			credentials: { source: "instance" },
			kmsKeyId: key("eu-central-1"),
			objectLock: { mode: "governance", days: 30 },
		});
	});
});
