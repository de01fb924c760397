/** The key that the sidecar gets of a credentials file: one profile, and nothing else that is in it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { stackDirectories } from "../../../components/directories.ts";
import { readCredentials } from "../../../components/offsite-credentials.ts";
import { RunError } from "../../../components/run-error.ts";
import { parseSettings } from "../../../components/settings.ts";

let directory: string;
let file: string;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "credentials-test-"));
	file = join(directory, "credentials");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const settings = (offsiteProfile = "default") => ({
	offsite: true,
	offsiteCredentials: "profile" as const,
	offsiteProfile,
});

const keyed = (id: string, secret: string) =>
	`[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;

describe("a profile", () => {
	test.each(["backup-writer", "team.backup", "a@b+c"])("%s is found by its name, and alone", async (name) => {
		writeFileSync(
			file,
			[
				"# of an administrator",
				"[default]",
				"aws_access_key_id = ADMIN",
				"aws_secret_access_key = admin-secret",
				"",
				`[${name}]`,
				"aws_access_key_id=WRITER",
				"aws_secret_access_key = w/r+i=t#e;r # not part of it",
				"region = eu-central-1",
			].join("\r\n"),
		);
		expect(await readCredentials(settings(name), file)).toBe(keyed("WRITER", "w/r+i=t#e;r"));
	});

	test("called default is what is taken where none is named", async () => {
		writeFileSync(file, keyed("ID", "secret"));
		expect(await readCredentials(settings(), file)).toBe(keyed("ID", "secret"));
	});

	test.each<[what: string, text: string, problem: RegExp]>([
		["that is not there", "[other]\naws_access_key_id = x\n", /has no profile default.*offsiteProfile/],
		[
			"without a key",
			"[default]\nrole_arn = arn:aws:iam::1:role/x\n",
			/has no aws_access_key_id.*key of its own/,
		],
		["without a secret", "[default]\naws_access_key_id = x\n", /has no aws_access_key_id and aws_secret/],
		["with an empty secret", keyed("ID", ""), /has no aws_access_key_id and aws_secret/],
		[
			"whose key expires",
			`${keyed("ID", "secret")}aws_session_token = x\n`,
			/holds a session's key in profile default, which expires.*key that lasts/,
		],
		["of an empty file", "", /has no profile default/],
	])("%s is refused, with the mend", async (_what, text, problem) => {
		writeFileSync(file, text);
		const read = () => readCredentials(settings(), file, { id: "placeholder", secret: "placeholder" });
		await expect(read()).rejects.toThrow(RunError);
		await expect(read()).rejects.toThrow(problem);
		await expect(read()).rejects.toThrow(`offsiteCredentialsFile ${file} `);
		await expect(read()).rejects.toThrow("nothing was changed");
	});

	test("is asked for by an up where there is no file, and a placeholder does for a preview", async () => {
		await expect(readCredentials(settings(), file)).rejects.toThrow(/cannot be read \(ENOENT.*mode 600/s);
		const placeholder = { id: "placeholder", secret: "placeholder" };
		expect(await readCredentials(settings(), file, placeholder)).toBe(keyed("placeholder", "placeholder"));
	});

	test("says nothing of the secret when it is refused", async () => {
		writeFileSync(file, `${keyed("ID", "top-secret")}aws_session_token = token-secret\n`);
		const message = await readCredentials(settings(), file).catch(String);
		expect(message).toContain("session");
		expect(message).not.toMatch(/top-secret|token-secret/);
	});
});

test("no file is looked at where the key comes from elsewhere, or offsite is off", async () => {
	for (const changes of [
		{ offsite: false },
		{ offsiteCredentials: "generated" as const },
		{ offsiteCredentials: "instance" as const },
	]) {
		expect(await readCredentials({ ...settings(), ...changes }, file)).toBeUndefined();
	}
});

test.each([
	["~/.aws/credentials", join(homedir(), ".aws/credentials")],
	["./.stack/prod/offsite", "/srv/shop/.stack/prod/offsite"],
	["/etc/shop/key", "/etc/shop/key"],
	["~shop/key", "/srv/shop/~shop/key"],
])("the file %s is %s", (path, expected) => {
	const config = { "persistent-stack:offsiteCredentialsFile": path };
	const { offsiteCredentials } = stackDirectories("/srv/shop", "prod", parseSettings("prod", config));
	expect(offsiteCredentials).toBe(expected);
});
