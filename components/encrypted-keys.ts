/** Environment variable of Pulumi's protocol: which config keys the stack file holds encrypted, as JSON. */
export const encryptedKeysVariable = "PULUMI_CONFIG_SECRET_KEYS";

/** Keys, with their namespace, of the config values that were encrypted in the stack file. */
export function encryptedKeys(): ReadonlySet<string> {
	return new Set(JSON.parse(process.env[encryptedKeysVariable] ?? "[]") as string[]);
}
