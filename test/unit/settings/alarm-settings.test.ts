/** Settings of alarms and metrics: what contradicts the others, and that a secret stays one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import { alarmPolicy, readAlarmAddresses } from "../../../components/alarm-policy.ts";
import { needsEgress } from "../../../components/networks.ts";
import { parseSettings } from "../../../components/settings.ts";
import { SettingsError } from "../../../components/settings-error.ts";
import { openCrypter } from "../../../engine/local/passphrase.ts";
import { decryptSettings } from "../../../engine/local/secret-settings.ts";
import { loadStack } from "../../../engine/stack-context.ts";

const secret = "https://hooks.example.com/services/T0/B0/THE-SECRET";
const directory = mkdtempSync(join(tmpdir(), "alarm-settings-"));
afterAll(() => rmSync(directory, { recursive: true }));

const config = (values: Readonly<Record<string, string>>) =>
	Object.fromEntries(Object.entries(values).map(([key, value]) => [`persistent-stack:${key}`, value]));

const encrypted = new Set(["persistent-stack:alarmWebhook", "persistent-stack:alarmPing"]);

function problemsOf(read: () => unknown): { key: string; value: string; fix: string }[] {
	try {
		read();
	} catch (error) {
		if (error instanceof SettingsError) {
			expect(error.message).not.toMatch(/THE-SECRET/);
			return [...error.problems];
		}
		throw error;
	}
	return [];
}

describe("an alarm address", () => {
	test.each(["alarmWebhook", "alarmPing"])(
		"is taken for %s where the stack file holds it encrypted",
		(key) => {
			expect(parseSettings("prod", config({ [key]: secret }), encrypted)).toMatchObject({ [key]: secret });
		},
	);

	test.each(["alarmWebhook", "alarmPing"])("is refused for %s as plain text, and not shown", (key) => {
		expect(problemsOf(() => parseSettings("prod", config({ [key]: secret })))).toEqual([
			{
				key,
				value: "(not shown)",
				fix: `a secret does not belong into a file as plain text; run pulumi config set --secret persistent-stack:${key}, or write file:PATH of a file of mode 600 that holds it`,
			},
		]);
	});

	test.each(["ftp://THE-SECRET", "THE-SECRET", "https://", "https://a b/THE-SECRET", "file:"])(
		"is refused, not shown, when it is %j",
		(value) => {
			expect(problemsOf(() => parseSettings("prod", config({ alarmWebhook: value }), encrypted))).toEqual([
				{
					key: "alarmWebhook",
					value: "(not shown)",
					fix: expect.stringMatching(/^write an http or https address/),
				},
			]);
		},
	);

	test("is read from the file that the setting names, beside the stack files or anywhere", () => {
		writeFileSync(join(directory, "webhook"), `${secret}\n`);
		const relative = parseSettings("dev", config({ alarmWebhook: "file:webhook" }));
		expect(readAlarmAddresses(relative, directory)).toEqual({ webhook: secret, ping: undefined });
		const absolute = parseSettings("dev", config({ alarmPing: `file://${directory}/webhook` }));
		expect(readAlarmAddresses(absolute, "/nowhere")).toEqual({ webhook: undefined, ping: secret });
	});

	test("that is missing or no address is said with its file and without its content", () => {
		writeFileSync(join(directory, "wrong"), "THE-SECRET");
		const settings = (file: string) => parseSettings("dev", config({ alarmWebhook: `file:${file}` }));
		expect(() => readAlarmAddresses(settings("wrong"), directory)).toThrow(
			new RegExp(`^the file ${directory}/wrong, which alarmWebhook names, holds no http or https address`),
		);
		expect(() => readAlarmAddresses(settings("gone"), directory)).toThrow(/gone.*cannot be read.*ENOENT/);
		expect(() => readAlarmAddresses(settings("wrong"), directory)).not.toThrow(/THE-SECRET/);
	});

	test("is not in what the sidecar's environment says", () => {
		const settings = parseSettings("prod", config({ alarmWebhook: secret, alarmPing: secret }), encrypted);
		expect(JSON.stringify(alarmPolicy(settings))).not.toMatch(/THE-SECRET|http/);
		expect(alarmPolicy(settings).alarms).toMatchObject({
			webhookFile: "/run/secrets/alarm_webhook",
			pingFile: "/run/secrets/alarm_ping",
		});
	});
});

describe("encrypted settings of a stack file", () => {
	const text = async (passphrase: string) => {
		const { salt, encrypt } = await openCrypter(passphrase);
		return `encryptionsalt: ${salt}\nconfig:\n  persistent-stack:port: 8081\n  persistent-stack:alarmWebhook:\n    secure: ${encrypt(secret)}\n`;
	};

	test("are decrypted with the passphrase, and are no part of what is read without it", async () => {
		const file = join(directory, "Pulumi.qa.yaml");
		writeFileSync(file, await text("right"));
		expect(await decryptSettings(file, await text("right"), () => "right")).toEqual({
			"persistent-stack:alarmWebhook": secret,
		});
		expect(loadStack(directory, "qa")).toMatchObject({ settings: { alarmWebhook: "", port: 8081 } });
	});

	test("stop the run where they cannot be decrypted, rather than being left out", async () => {
		await expect(decryptSettings("F", await text("right"), () => "wrong")).rejects.toThrow(
			/^persistent-stack:alarmWebhook in F cannot be decrypted: the passphrase is another one; nothing was changed/,
		);
		await expect(
			decryptSettings("F", "config:\n  persistent-stack:alarmWebhook:\n    secure: v1:x\n", () => "right"),
		).rejects.toThrow(/can be decrypted only by Pulumi/);
	});

	test("ask for no passphrase where there are none", async () => {
		const never = () => {
			throw new Error("asked");
		};
		expect(await decryptSettings("F", "config:\n  persistent-stack:port: 8081\n", never)).toEqual({});
		expect(await decryptSettings("F", "", never)).toEqual({});
	});
});

test("the metrics cannot have the proxy's port", () => {
	expect(problemsOf(() => parseSettings("dev", config({ metricsPort: "8080" })))).toEqual([
		{ key: "metricsPort", value: "8080", fix: "the proxy has this port; write another" },
	]);
});

test.each([
	[{}, false],
	[{ alarmOnSuccess: "false", diskWarnPercent: "80" }, false],
	[{ alarmWebhook: "file:x" }, true],
	[{ alarmPing: "file:x" }, true],
	[{ metricsPort: "9187" }, true],
] as const)("with %j the sidecar's way out is: %s", (values, expected) => {
	expect(needsEgress(parseSettings("dev", config(values)))).toBe(expected);
});
