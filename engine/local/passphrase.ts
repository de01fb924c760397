/** Encryption of secrets in the state: Pulumi's passphrase scheme, so that Pulumi can read the state too. */
import { createCipheriv, createDecipheriv, pbkdf2, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { EngineError } from "../errors.ts";

/** PBKDF2 rounds of Pulumi's scheme (sdk/go/common/resource/config/crypt.go). */
const rounds = 1_000_000;
const tagLength = 16;
/** What Pulumi encrypts to recognise the right passphrase. */
const probe = "pulumi";

export interface Crypter {
	/** Salt and probe, kept in the state. */
	readonly salt: string;
	encrypt(text: string): string;
	decrypt(text: string): string;
}

/**
 * The crypter of a stack.
 *
 * @param salt as found in the state; absent for a new one.
 * @throws EngineError when the passphrase is not the one the state was written with.
 */
export async function openCrypter(passphrase: string, salt?: string): Promise<Crypter> {
	const [, encodedSalt] = salt?.split(":") ?? [];
	const saltBytes = encodedSalt ? Buffer.from(encodedSalt, "base64") : randomBytes(8);
	const key = await promisify(pbkdf2)(passphrase, saltBytes, rounds, 32, "sha256");
	if (salt) {
		const sealed = salt.split(":").slice(2).join(":");
		if (orNothing(() => decrypt(key, sealed)) !== probe) {
			throw new EngineError(
				"the passphrase does not open this stack's state; nothing was changed. Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the one it was made with, or bring back .stack/passphrase.",
			);
		}
	}
	return {
		salt: salt ?? `v1:${saltBytes.toString("base64")}:${encrypt(key, probe)}`,
		encrypt: (text) => encrypt(key, text),
		decrypt: (text) => decrypt(key, text),
	};
}

function encrypt(key: Buffer, text: string): string {
	const nonce = randomBytes(12);
	const cipher = createCipheriv("aes-256-gcm", key, nonce);
	const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
	return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
}

function decrypt(key: Buffer, text: string): string {
	const [, nonce = "", encoded = ""] = text.split(":");
	const sealed = Buffer.from(encoded, "base64");
	const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
	decipher.setAuthTag(sealed.subarray(-tagLength));
	return Buffer.concat([decipher.update(sealed.subarray(0, -tagLength)), decipher.final()]).toString("utf8");
}

function orNothing<T>(read: () => T): T | undefined {
	try {
		return read();
	} catch {
		return undefined;
	}
}

/**
 * The passphrase: PULUMI_CONFIG_PASSPHRASE, else the file that PULUMI_CONFIG_PASSPHRASE_FILE names, else
 * `.stack/passphrase` of the project, which is made with mode 600 when it is missing.
 */
export function readPassphrase(project: string): string {
	const { PULUMI_CONFIG_PASSPHRASE: given, PULUMI_CONFIG_PASSPHRASE_FILE: givenFile } = process.env;
	if (given) return given;
	const file = givenFile || passphraseFile(project);
	if (givenFile || existsSync(file)) return readFileSync(file, "utf8").trim();
	mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
	chmodSync(dirname(file), 0o700);
	writeFileSync(file, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
	return readFileSync(file, "utf8").trim();
}

export function passphraseFile(project: string): string {
	return join(project, ".stack", "passphrase");
}
