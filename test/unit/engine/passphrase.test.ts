import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { EngineError } from "../../../engine/errors.ts";
import { openCrypter, readPassphrase } from "../../../engine/local/passphrase.ts";

/**
 * Made with Pulumi's own command line (3.270): a stack with PULUMI_CONFIG_PASSPHRASE=test, its `encryptionsalt`,
 * and what `pulumi config set --secret` wrote.
 */
const byPulumi = {
	passphrase: "test",
	salt: "v1:j6POVf1dgqA=:v1:qso9s3JcZEK46R36:JDl81LaS08D9C9mGDRPl342gZulgcA==",
	ciphertext: "v1:BksKn+VuFYtbpn6Q:EQ1cVZWeuppq6VmKPNQ34p3z8PfqHcRWlk/EhqvpgDSpfLujI5U=",
	text: "kept by Pulumi: äöü",
};

describe("encryption", () => {
	test("opens what Pulumi itself encrypted", async () => {
		const crypter = await openCrypter(byPulumi.passphrase, byPulumi.salt);
		expect(crypter.decrypt(byPulumi.ciphertext)).toBe(byPulumi.text);
		expect(crypter.salt).toBe(byPulumi.salt);
	});

	test("refuses another passphrase than the one that the state was made with, and says what to do", async () => {
		const opened = openCrypter("tset", byPulumi.salt);
		await expect(opened).rejects.toThrow(EngineError);
		await expect(opened).rejects.toThrow(
			/does not open this stack's state; nothing was changed.*PULUMI_CONFIG_PASSPHRASE.*\.stack\/passphrase/,
		);
	});

	test("gives back what it took, in this and in the next process, and never twice the same ciphertext", async () => {
		const first = await openCrypter("a passphrase");
		const again = await openCrypter("a passphrase", first.salt);
		for (const text of ["", "x", "ä🗝\n\0", "long ".repeat(10_000)]) {
			expect(again.decrypt(first.encrypt(text))).toBe(text);
		}
		expect(first.encrypt("x")).not.toBe(first.encrypt("x"));
		expect(first.salt).toMatch(/^v1:[\w+/=]{12}:v1:[\w+/=]{16}:[\w+/=]{32}$/);
	});

	test("does not open a ciphertext of which one bit is wrong", async () => {
		const crypter = await openCrypter("p");
		const [version, nonce, sealed = ""] = crypter.encrypt("text").split(":");
		const bytes = Buffer.from(sealed, "base64");
		bytes[0] = (bytes[0] ?? 0) ^ 1;
		expect(() => crypter.decrypt(`${version}:${nonce}:${bytes.toString("base64")}`)).toThrow();
	});
});

describe("the passphrase", () => {
	let project: string;
	const names = ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"] as const;
	const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));
	beforeEach(() => {
		project = mkdtempSync(join(tmpdir(), "passphrase-test-"));
		for (const name of names) delete process.env[name];
	});
	afterEach(() => {
		rmSync(project, { recursive: true, force: true });
		for (const name of names) {
			if (before[name] === undefined) delete process.env[name];
			else process.env[name] = before[name];
		}
	});

	test("is made once, long, and readable for its owner alone", () => {
		const passphrase = readPassphrase(project);
		expect(passphrase.length).toBeGreaterThanOrEqual(43);
		expect(readPassphrase(project)).toBe(passphrase);
		expect(statSync(join(project, ".stack", "passphrase")).mode & 0o777).toBe(0o600);
		expect(statSync(join(project, ".stack")).mode & 0o777).toBe(0o700);
		expect(readPassphrase(mkdtempSync(join(project, "other-")))).not.toBe(passphrase);
	});

	test("is Pulumi's own where that is set, and no file is made then", () => {
		process.env.PULUMI_CONFIG_PASSPHRASE = "from the environment";
		expect(readPassphrase(project)).toBe("from the environment");
		expect(existsSync(join(project, ".stack"))).toBe(false);
	});

	test("is read from the file that Pulumi would read, without the newline at its end", () => {
		const file = join(project, "given");
		writeFileSync(file, "from a file\n");
		process.env.PULUMI_CONFIG_PASSPHRASE_FILE = file;
		expect(readPassphrase(project)).toBe("from a file");
		expect(readFileSync(file, "utf8")).toBe("from a file\n");
	});

	test("is not invented where a file is named that does not exist", () => {
		process.env.PULUMI_CONFIG_PASSPHRASE_FILE = join(project, "missing");
		expect(() => readPassphrase(project)).toThrow(/missing/);
	});
});
