import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parse } from "yaml";
import { programDirectory } from "../../../components/directories.ts";
import { parseSettings, type SettingKey, settingDefinitions } from "../../../components/settings.ts";
import { SettingsError } from "../../../components/settings-error.ts";
import { loadStack } from "../../../engine/stack-context.ts";

/** The least that has to be said of offsite copies at AWS. */
const awsOffsite = {
	offsite: "true",
	offsiteBucket: "shop-backups",
	offsiteRegion: "eu-central-1",
	offsiteRetentionDays: "90",
};

interface Row {
	readonly byDefault: unknown;
	readonly right: readonly string[];
	readonly wrong: readonly string[];
	/** Other settings without which the right values contradict something. */
	readonly together?: Readonly<Record<string, string>>;
}

/** Every setting with its default, what else is right, and what is wrong; as texts, as Pulumi hands them over. */
const table: Readonly<Record<SettingKey, Row>> = {
	prefix: {
		byDefault: "",
		right: ["shop", "a", "0-9", "x".repeat(40)],
		wrong: ["Shop", "-x", "a_b", "a b", "a/b", "x".repeat(41)],
	},
	mode: { byDefault: "production", right: ["development"], wrong: ["", "dev", "Production"] },
	removalPolicy: { byDefault: "protect", right: ["remove", "retain"], wrong: ["", "keep", "true"] },
	adopt: {
		byDefault: [],
		right: ['["shop_app-postgres-data"]'],
		wrong: ["x", '"x"', "[1]", '["a b"]', '["../x"]', '{"a":"b"}', "null", ""],
	},
	bindAddress: {
		byDefault: "127.0.0.1",
		right: ["0.0.0.0", "::1", "192.0.2.1"],
		wrong: ["localhost", "1.2.3", "1.2.3.4:80", "", "256.0.0.1"],
	},
	port: {
		byDefault: 8080,
		right: ["1", "65535"],
		wrong: ["0", "65536", "-1", "80.5", "http", "true", "null", "", '"8080"', "[8080]"],
	},
	allowedHosts: {
		byDefault: [],
		right: ['["*.example.com","a-b"]'],
		wrong: ["example.com", '["http://a"]', '["a b"]'],
	},
	maxUploadMb: { byDefault: 100, right: ["1", "102400"], wrong: ["0", "102401", "10m"] },
	labels: {
		byDefault: [],
		right: ['["team=billing","empty=","a.b/c=x=y"]'],
		wrong: ['["team"]', '["persistent-stack.owner=me"]', '["Team=x"]', '["=x"]'],
	},
	imageSource: { byDefault: "official", right: ["auto", "stand-in"], wrong: ["", "debian"] },
	postgresImage: imageRow(),
	redisImage: imageRow(),
	proxyImage: imageRow(),
	pythonImage: imageRow(),
	nodeImage: imageRow(),
	backendImage: imageRow(),
	backendContext: pathRow("app/backend"),
	backendDockerfile: pathRow("images/backend/Dockerfile"),
	backendMigrateCommand: {
		byDefault: "python manage.py migrate --noinput",
		right: ["", "true && x"],
		wrong: [],
	},
	backendHealthPath: {
		byDefault: "/api/healthz",
		right: ["/", "/up"],
		wrong: ["", "up", "/a b", '/"); import os; ("', "/a?b"],
	},
	backendEnvironment: {
		byDefault: [],
		right: ['["A=","_B=c=d"]'],
		wrong: ['["A"]', '["1A=x"]', '["A B=x"]'],
	},
	frontendImage: imageRow(),
	frontendContext: pathRow("app/frontend"),
	frontendDockerfile: pathRow("images/frontend/Dockerfile"),
	dbMemoryMb: memoryRow(1024),
	redisMemoryMb: memoryRow(256),
	backendMemoryMb: memoryRow(512),
	frontendMemoryMb: memoryRow(1024),
	proxyMemoryMb: memoryRow(128),
	backupMemoryMb: memoryRow(256),
	backupDirectory: pathRow("./backups"),
	backupSchedule: scheduleRow("0 2 * * *"),
	weeklyBackupSchedule: scheduleRow("0 3 * * 0"),
	timeZone: { byDefault: "UTC", right: ["Europe/Berlin"], wrong: ["", "Mars/Base", "UTC+99"] },
	backupCompression: { byDefault: "gzip", right: ["zstd"], wrong: ["", "bzip2", "GZIP"] },
	backupRecipients: {
		byDefault: [],
		right: ['["age1qyqszqgpqyqszqgp"]', '["ssh-ed25519 AAAAC3Nza user@host"]'],
		wrong: ['["AGE-SECRET-KEY-1QQ"]', '[""]', '["age1 x"]'],
	},
	retentionDays: daysRow(30),
	weeklyRetentionDays: daysRow(28),
	manualRetentionDays: daysRow(30),
	safetyRetentionDays: daysRow(14),
	minimumCopies: { byDefault: 3, right: ["1", "1000"], wrong: ["0", "-3", "1001", "1.5", "three"] },
	diskWarnPercent: { byDefault: 85, right: ["1", "100"], wrong: ["0", "101", "85.5", "full"] },
	volumeWarnGb: { byDefault: 10, right: ["1", "1048576"], wrong: ["0", "-1", "1.5", "10G"] },
	offsite: { byDefault: false, right: [], wrong: ["", "yes", "1", "null", '"true"'] },
	offsiteRetentionDays: { ...daysRow(0), together: awsOffsite },
	offsiteBucket: {
		byDefault: "",
		right: ["abc", "x".repeat(63), "a.b-c"],
		wrong: ["ab", "Shop", "a_b", "-ab", "ab-", "x".repeat(64), "s3://shop"],
	},
	offsiteRegion: { byDefault: "", right: ["eu-central-1", "auto"], wrong: ["EU", "eu central", "-a"] },
	offsitePrefix: {
		byDefault: "persistent-stack",
		right: ["a", "team/shop_1"],
		wrong: ["", "/a", "a/", "a//b", "..", "a/../b", "a b", "*"],
	},
	offsiteTransitionDays: daysRow(0),
	offsiteStorageClass: {
		byDefault: "STANDARD_IA",
		right: ["INTELLIGENT_TIERING", "GLACIER_IR"],
		wrong: ["", "GLACIER", "DEEP_ARCHIVE", "standard_ia"],
	},
	offsiteNoncurrentDays: {
		byDefault: 30,
		right: ["7", "3650"],
		wrong: ["0", "6", "3651", "1.5", ""],
	},
	offsiteObjectLock: { byDefault: "off", right: ["governance", "compliance"], wrong: ["", "on", "true"] },
	offsiteObjectLockDays: daysRow(0),
	offsiteKmsKey: {
		byDefault: "",
		right: ["arn:aws:kms:eu-central-1:111122223333:key/1234-ab"],
		wrong: ["alias/shop", "arn:aws:kms:eu-central-1:1:key/x", "1234-ab"],
	},
	offsiteAccessLogBucket: { byDefault: "", right: ["shop-logs"], wrong: ["Shop", "ab"] },
	offsiteReplicaBucket: { byDefault: "", right: ["shop-replica"], wrong: ["Shop", "ab"] },
	offsiteReplicaRegion: { byDefault: "", right: ["eu-west-1"], wrong: ["EU", "eu west"] },
	offsiteCredentials: {
		byDefault: "generated",
		right: ["profile", "instance"],
		wrong: ["", "key", "AKIAIOSFODNN7EXAMPLE"],
	},
	offsiteProfile: { byDefault: "default", right: ["backup-writer"], wrong: ["", "a b", "[x]"] },
	offsiteCredentialsFile: pathRow("~/.aws/credentials"),
	offsiteWriterRole: {
		byDefault: "",
		right: ["docker-host"],
		wrong: ["arn:aws:iam::111122223333:role/x", "a/b", "x".repeat(65)],
	},
	offsiteEndpoint: {
		byDefault: "",
		right: ["https://s3.example.com", "http://127.0.0.1:9000"],
		wrong: ["s3.example.com", "ftp://x", "https://"],
	},
	offsitePathStyle: { byDefault: false, right: ["true"], wrong: ["", "yes", "1"] },
	offsiteChecksumMode: { byDefault: "when_supported", right: ["when_required"], wrong: ["", "never"] },
	// What is wrong with an address is never shown: alarm-settings.test.ts.
	alarmWebhook: { byDefault: "", right: ["file:/run/webhook", "file:webhook"], wrong: [] },
	alarmPing: { byDefault: "", right: ["file:///run/ping"], wrong: [] },
	alarmOnSuccess: { byDefault: true, right: ["false"], wrong: ["", "no", "0"] },
	metricsPort: { byDefault: 0, right: ["1024", "65535"], wrong: ["-1", "80", "1023", "65536", "9100.5"] },
};

function scheduleRow(byDefault: string) {
	return { byDefault, right: ["", "*/5 * * * *", "@daily"], wrong: ["2 o'clock", "* * *", "@never"] };
}

function imageRow() {
	return {
		byDefault: "",
		right: ["postgres:17", "registry.example.com:5000/team/api@sha256:abc", "sha256:abc"],
		wrong: ["Postgres", "a b", "-x", "a;b"],
	};
}

function pathRow(byDefault: string) {
	return { byDefault, right: ["/srv/x", "../y", "."], wrong: ["/", " x", "x "] };
}

function memoryRow(byDefault: number) {
	return { byDefault, right: ["64", "1048576"], wrong: ["63", "0", "-1", "1g", "512.5", "1048577"] };
}

function daysRow(byDefault: number) {
	return { byDefault, right: ["3650"], wrong: ["-1", "3651", "1.5", "seven", "", "null"] };
}

const rows = Object.entries(table) as [SettingKey, Row][];

function config(values: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(values).map(([key, value]) => [`persistent-stack:${key}`, value]));
}

/** The error of a stack file; fails where there is none. */
function refusal(stack: string, values: Readonly<Record<string, string>>): SettingsError {
	try {
		parseSettings(stack, config(values));
	} catch (error) {
		if (error instanceof SettingsError) return error;
		throw error;
	}
	throw new Error(`accepted: ${JSON.stringify(values)}`);
}

describe("defaults", () => {
	test("every setting has one, and it is the one of the table", () => {
		const settings = parseSettings("dev", {});
		const expected = Object.fromEntries(rows.map(([key, { byDefault }]) => [key, byDefault]));
		expect(settings).toEqual({ ...expected, prefix: "app" });
	});

	test.each(rows)("the default of %s is itself a right value", (key) => {
		const definition = settingDefinitions[key];
		expect(definition.schema.safeParse(definition.default).success).toBe(true);
	});

	test("the prefix is app in dev, and says the stack elsewhere", () => {
		expect(parseSettings("dev", {}).prefix).toBe("app");
		expect(parseSettings("prod", {}).prefix).toBe("app-prod");
		expect(parseSettings("dev", config({ prefix: "" })).prefix).toBe("app");
		expect(parseSettings("prod", config({ prefix: "shop" })).prefix).toBe("shop");
	});
});

describe.each(rows)("%s", (key, { right, wrong, together }) => {
	const { type, fix } = settingDefinitions[key];

	// What offsite: true goes with is the subject of offsite-settings.test.ts.
	if (right.length > 0)
		test.each(right)("takes %j", (text) => {
			const value = type === "string" ? text : JSON.parse(text);
			expect(parseSettings("dev", config({ ...together, [key]: text }))[key]).toEqual(value);
		});

	// A migration command may be any text.
	if (wrong.length > 0) {
		test.each(wrong)("refuses %j, naming key, value and fix", (text) => {
			const error = refusal("dev", { [key]: text });
			expect(error.problems).toEqual([{ key, value: text, fix }]);
			expect(error.message).toBe(
				`1 setting is wrong in Pulumi.dev.yaml; nothing was changed.\n  ${key} = ${JSON.stringify(text)}: ${fix}`,
			);
		});
	}
});

describe("errors", () => {
	test("name all wrong settings at once, wrong values and unknown keys alike", () => {
		const error = refusal("staging", { port: "0", mode: "fast", colour: "red", prefix: "ok" });
		expect(error.problems.map(({ key }) => key).sort()).toEqual(["colour", "mode", "port"]);
		expect(error.message).toMatch(/^3 settings are wrong in Pulumi\.staging\.yaml; nothing was changed\.\n/);
		expect(error.message.split("\n")).toHaveLength(4);
	});

	test("are of the kind that Pulumi prints without a stack trace", () => {
		expect(refusal("dev", { port: "0" })).toMatchObject({ __pulumiRunError: true, name: "SettingsError" });
	});

	test("say what an unknown key probably means", () => {
		for (const near of ["retention-days", "retention_days", "RETENTIONDAYS", "RetentionDays"]) {
			expect(refusal("dev", { [near]: "7" }).problems).toEqual([
				{ key: near, value: "7", fix: "there is no such setting; write retentionDays" },
			]);
		}
	});

	test("say of a key that is like no other that its line has to go", () => {
		expect(refusal("dev", { colour: "red" }).problems[0]?.fix).toBe(
			"there is no such setting; remove the line",
		);
	});

	test.each(["constructor", "__proto__", "toString"])("treat the key %s as unknown too", (key) => {
		const raw = JSON.parse(`{"persistent-stack:${key}": "x"}`);
		expect(() => parseSettings("dev", raw)).toThrow(SettingsError);
	});

	test("leave the settings of providers alone", () => {
		expect(parseSettings("dev", { "aws:region": "eu-west-1", "docker:host": "x" }).port).toBe(8080);
	});
});

describe("the committed stack files", () => {
	test.each([
		["dev", { mode: "development", removalPolicy: "remove", retentionDays: 7, offsiteRetentionDays: 0 }],
		["staging", { mode: "production", removalPolicy: "retain", retentionDays: 14, offsiteRetentionDays: 0 }],
		["prod", { mode: "production", removalPolicy: "protect", retentionDays: 30, offsiteRetentionDays: 90 }],
	])("%s has its own mode, removal policy and retention", (stack, expected) => {
		const { settings } = loadStack(programDirectory, stack);
		expect(settings).toMatchObject({ ...expected, weeklyRetentionDays: 28, minimumCopies: 3 });
	});

	test("use different prefixes and ports, so that all three run on one host", () => {
		const stacks = ["dev", "staging", "prod"].map((stack) => loadStack(programDirectory, stack).settings);
		expect(stacks.map(({ prefix }) => prefix)).toEqual(["app", "app-staging", "app-prod"]);
		expect(new Set(stacks.map(({ port }) => port)).size).toBe(3);
	});

	test("leave images to this machine's record in dev alone", () => {
		const sources = ["dev", "staging", "prod"].map(
			(stack) => loadStack(programDirectory, stack).settings.imageSource,
		);
		expect(sources).toEqual(["auto", "official", "official"]);
	});
});

describe("the typed block of Pulumi.yaml", () => {
	const file = readFileSync(join(programDirectory, "Pulumi.yaml"), "utf8");
	const block = (parse(file) as { config: Record<string, { type: string; default: unknown }> }).config;

	test("types and defaults are those of the parser, so that both ways to read a stack agree", () => {
		const defaults = Object.fromEntries(
			Object.entries(block).map(([key, { default: value }]) => [
				key,
				typeof value === "string" ? value : JSON.stringify(value),
			]),
		);
		// Pulumi hands these to the program; the local engine hands over nothing.
		expect(parseSettings("qa", config(defaults))).toEqual(parseSettings("qa", {}));
		expect(Object.keys(block)).toEqual(Object.keys(table));
	});

	test("says of lists what their items are, without which Pulumi refuses the file", () => {
		for (const setting of Object.values(block)) {
			if (setting.type === "array") expect(setting).toMatchObject({ items: { type: "string" } });
		}
	});
});

describe("properties", () => {
	const anyText = fc.oneof(
		fc.string({ unit: "binary" }),
		fc.json(),
		fc.integer().map(String),
		fc.double().map(String),
		fc.constantFrom(...rows.flatMap(([, { right, wrong }]) => [...right, ...wrong])),
	);
	const anyKey = fc.oneof(fc.constantFrom(...rows.map(([key]) => key)), fc.string());

	test("whatever a stack file says, there are settings or one error of the settings' own kind", () => {
		fc.assert(
			fc.property(fc.string(), fc.dictionary(anyKey, anyText), (stack, values) => {
				try {
					const settings = parseSettings(stack, config(values));
					expect(Object.keys(settings).sort()).toEqual(Object.keys(table).sort());
				} catch (error) {
					expect(error).toBeInstanceOf(SettingsError);
					for (const { key, fix } of (error as SettingsError).problems) {
						// What is missing is named too: offsite without a bucket.
						if (!key.startsWith("offsite")) expect(Object.keys(values)).toContain(key);
						expect(fix).not.toBe("");
					}
				}
			}),
			{ numRuns: 2000 },
		);
	});

	const longOffsite = { ...awsOffsite, offsiteRetentionDays: "3650" };

	test("whatever is accepted is accepted again and means the same", () => {
		fc.assert(
			fc.property(fc.constantFrom(...rows.map(([key]) => key)), anyText, (key, text) => {
				let first: unknown;
				try {
					first = parseSettings("qa", config({ ...longOffsite, [key]: text }))[key];
				} catch {
					return;
				}
				const again = typeof first === "string" ? first : JSON.stringify(first);
				expect(parseSettings("qa", config({ ...longOffsite, [key]: again }))[key]).toEqual(first);
			}),
			{ numRuns: 2000 },
		);
	});
});
