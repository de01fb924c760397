/** The rules by which offsite settings have to fit one another and the local retention. */
import { offsiteDefinitions } from "./offsite-settings.ts";
import type { StackSettings } from "./settings.ts";
import type { SettingsProblem } from "./settings-error.ts";

type OffsiteKey = keyof typeof offsiteDefinitions;

/** A rule: the setting that is wrong, when, and what to write instead. The first of a setting's rules counts. */
type Rule = readonly [
	key: OffsiteKey | "labels",
	isBroken: (settings: StackSettings) => boolean,
	fix: string | ((settings: StackSettings) => string),
];

/** Longest name that leaves room for the names of the identities that are made of it. */
const longestAwsBucket = 56;

const isAws = ({ offsiteEndpoint }: StackSettings) => offsiteEndpoint === "";
const isSet = (settings: StackSettings, key: OffsiteKey) =>
	String(settings[key]) !== String(offsiteDefinitions[key].default);

const isSame = (settings: StackSettings, other: "offsiteAccessLogBucket" | "offsiteReplicaBucket") =>
	settings[other] !== "" && settings[other] === settings.offsiteBucket;

/** A setting that means something only together with another one's value. */
const onlyWith = (key: OffsiteKey, condition: string, holds: (settings: StackSettings) => boolean): Rule => [
	key,
	(settings) => isSet(settings, key) && !holds(settings),
	`${key} works only ${condition}; remove the line`,
];

const onlyAtAws = (key: OffsiteKey) => onlyWith(key, "at AWS, without offsiteEndpoint", isAws);
const onlyElsewhere = (key: OffsiteKey) =>
	onlyWith(key, "with offsiteEndpoint", (settings) => !isAws(settings));
const onlyFor = (key: OffsiteKey, source: StackSettings["offsiteCredentials"]) =>
	onlyWith(
		key,
		`with offsiteCredentials: ${source}`,
		({ offsiteCredentials }) => offsiteCredentials === source,
	);

const ofItsRegion = (
	key: "offsiteKmsKey" | "offsiteReplicaKmsKey",
	region: "offsiteRegion" | "offsiteReplicaRegion",
): Rule => [
	key,
	(settings) => settings[key] !== "" && settings[key].split(":")[3] !== settings[region],
	(settings) => `a bucket's key must be of its own region; write a key of ${settings[region]}`,
];

const longestLocalDays = (settings: StackSettings) =>
	Math.max(
		1,
		settings.retentionDays,
		settings.weeklyRetentionDays,
		settings.manualRetentionDays,
		settings.safetyRetentionDays,
	);

const rules: readonly Rule[] = [
	["offsiteBucket", ({ offsiteBucket }) => offsiteBucket === "", "offsite is on: write the bucket's name"],
	[
		"offsiteBucket",
		(settings) =>
			isAws(settings) &&
			(settings.offsiteBucket.length > longestAwsBucket || settings.offsiteBucket.includes(".")),
		`write at most ${longestAwsBucket} lower-case letters, digits and hyphens: identities are named after it, and a dot breaks TLS`,
	],
	[
		"offsiteRegion",
		(settings) => isAws(settings) && settings.offsiteRegion === "",
		"offsite is on: write the bucket's region, such as eu-central-1",
	],
	[
		"offsiteRetentionDays",
		(settings) => settings.offsiteRetentionDays < longestLocalDays(settings),
		(settings) =>
			`offsite copies must live at least as long as local ones of every class; write ${longestLocalDays(settings)} or more`,
	],
	onlyAtAws("offsiteTransitionDays"),
	[
		"offsiteTransitionDays",
		({ offsiteTransitionDays, offsiteStorageClass }) =>
			offsiteStorageClass === "STANDARD_IA" && offsiteTransitionDays > 0 && offsiteTransitionDays < 30,
		"S3 moves nothing to STANDARD_IA before 30 days; write 30 or more, or 0 for never",
	],
	[
		"offsiteTransitionDays",
		({ offsiteTransitionDays, offsiteRetentionDays }) =>
			offsiteTransitionDays > 0 && offsiteTransitionDays >= offsiteRetentionDays,
		({ offsiteRetentionDays }) =>
			`copies are kept ${offsiteRetentionDays} days, so it would never happen; write less, or 0 for never`,
	],
	onlyWith(
		"offsiteStorageClass",
		"with offsiteTransitionDays",
		(settings) => settings.offsiteTransitionDays > 0,
	),
	onlyAtAws("offsiteNoncurrentDays"),
	onlyAtAws("offsiteObjectLock"),
	[
		"offsiteObjectLockDays",
		({ offsiteObjectLock, offsiteObjectLockDays }) =>
			(offsiteObjectLock === "off") !== (offsiteObjectLockDays === 0),
		({ offsiteObjectLock }) =>
			offsiteObjectLock === "off"
				? "Object Lock is off; write offsiteObjectLock: governance or compliance, or remove the line"
				: `offsiteObjectLock is ${offsiteObjectLock}; write for how many days, 1 or more`,
	],
	[
		"offsiteObjectLockDays",
		({ offsiteObjectLockDays, offsiteRetentionDays }) => offsiteObjectLockDays > offsiteRetentionDays,
		({ offsiteRetentionDays }) =>
			`copies that retention lets go after ${offsiteRetentionDays} days would stay locked; write ${offsiteRetentionDays} or less`,
	],
	onlyAtAws("offsiteKmsKey"),
	ofItsRegion("offsiteKmsKey", "offsiteRegion"),
	onlyAtAws("offsiteOldKmsKeys"),
	onlyAtAws("offsiteAccessLogBucket"),
	[
		"offsiteAccessLogBucket",
		(settings) => isSame(settings, "offsiteAccessLogBucket"),
		"a bucket that logs into itself logs its own log; write another bucket",
	],
	onlyAtAws("offsiteReplicaBucket"),
	[
		"offsiteReplicaBucket",
		(settings) =>
			isSame(settings, "offsiteReplicaBucket") ||
			(settings.offsiteReplicaBucket === "" && settings.offsiteReplicaRegion !== ""),
		"write the name of a second bucket, or remove offsiteReplicaRegion",
	],
	[
		"offsiteReplicaBucket",
		({ offsiteReplicaBucket }) =>
			offsiteReplicaBucket.length > longestAwsBucket || offsiteReplicaBucket.includes("."),
		`write at most ${longestAwsBucket} lower-case letters, digits and hyphens`,
	],
	[
		"offsiteReplicaRegion",
		({ offsiteReplicaBucket, offsiteReplicaRegion, offsiteRegion }) =>
			offsiteReplicaBucket !== "" && (offsiteReplicaRegion === "" || offsiteReplicaRegion === offsiteRegion),
		({ offsiteRegion }) =>
			`write a region other than that of the bucket, ${offsiteRegion || "offsiteRegion"}`,
	],
	onlyWith(
		"offsiteReplicaKmsKey",
		"with offsiteReplicaBucket",
		(settings) => settings.offsiteReplicaBucket !== "",
	),
	ofItsRegion("offsiteReplicaKmsKey", "offsiteReplicaRegion"),
	[
		"offsiteCredentials",
		(settings) => !isAws(settings) && settings.offsiteCredentials !== "profile",
		"no user can be made at an offsiteEndpoint; write profile, and the key into offsiteCredentialsFile",
	],
	onlyFor("offsiteProfile", "profile"),
	onlyFor("offsiteCredentialsFile", "profile"),
	onlyFor("offsiteWriterRole", "instance"),
	onlyElsewhere("offsitePathStyle"),
	onlyElsewhere("offsiteChecksumMode"),
	[
		"labels",
		(settings) => isAws(settings) && !settings.labels.every((label) => isTag(label)),
		"labels become tags of the bucket, and AWS takes no other characters than letters, digits, spaces and _ . : / = + - @, at most 256; write others",
	],
];

function isTag(label: string): boolean {
	return /^[^=]{1,128}=[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u.test(label);
}

/** What contradicts itself: at most one problem for a setting. */
export function offsiteContradictions(settings: StackSettings): SettingsProblem[] {
	if (!settings.offsite) {
		if (settings.offsiteRetentionDays === 0) return [];
		return [
			{
				key: "offsiteRetentionDays",
				value: String(settings.offsiteRetentionDays),
				fix: "nothing is kept offsite while offsite is off; write offsite: true, or 0 days",
			},
		];
	}
	const problems = new Map<string, SettingsProblem>();
	for (const [key, isBroken, fix] of rules) {
		if (problems.has(key) || !isBroken(settings)) continue;
		const value = settings[key];
		problems.set(key, {
			key,
			value: typeof value === "string" ? value : JSON.stringify(value),
			fix: typeof fix === "string" ? fix : fix(settings),
		});
	}
	return [...problems.values()];
}
