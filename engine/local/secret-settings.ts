import { parse } from "yaml";
import { EngineError } from "../errors.ts";
import { openCrypter } from "./passphrase.ts";

/**
 * Values that a stack file holds encrypted, as `pulumi config set --secret` writes them.
 *
 * @param text the stack file.
 * @param passphrase asked for only where there is one to decrypt.
 * @throws EngineError when they cannot be decrypted here: a secret that is left out would be missed by nobody.
 */
export async function decryptSettings(
	file: string,
	text: string,
	passphrase: () => string,
): Promise<Record<string, string>> {
	const { config = {}, encryptionsalt } = (parse(text) ?? {}) as {
		config?: Record<string, unknown>;
		encryptionsalt?: string;
	};
	const sealed = Object.entries(config).filter(
		(entry): entry is [string, { secure: string }] =>
			typeof (entry[1] as { secure?: unknown } | null)?.secure === "string",
	);
	if (sealed.length === 0) return {};
	const names = sealed.map(([key]) => key).join(", ");
	const otherwise = `Write file:PATH of a file that holds the value, or use --engine pulumi`;
	if (!encryptionsalt) {
		throw new EngineError(
			`${names} in ${file} can be decrypted only by Pulumi, whose secrets provider is not a passphrase; nothing was changed. ${otherwise}.`,
		);
	}
	try {
		const { decrypt } = await openCrypter(passphrase(), encryptionsalt);
		return Object.fromEntries(sealed.map(([key, { secure }]) => [key, decrypt(secure)]));
	} catch (error) {
		throw new EngineError(
			`${names} in ${file} cannot be decrypted: the passphrase is another one; nothing was changed. Set PULUMI_CONFIG_PASSPHRASE to the one they were encrypted with. ${otherwise}.`,
			{ cause: error },
		);
	}
}
