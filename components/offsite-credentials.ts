/** The key that the sidecar uploads with, where the settings name one: from a profile of a credentials file. */
import { accessSync, constants } from "node:fs";
import { loadSharedConfigFiles } from "@smithy/shared-ini-file-loader";
import { RunError } from "./run-error.ts";
import type { StackSettings } from "./settings.ts";

export interface AccessKeyPair {
	readonly id: string;
	readonly secret: string;
}

/** A key in the form of ~/.aws/credentials. */
export function credentialsText({ id, secret }: AccessKeyPair): string {
	return `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`;
}

/**
 * The credentials file for the sidecar: the one profile that the settings name, and nothing else of the file.
 *
 * @param file absolute path of the credentials file.
 * @param placeholder what a preview uses where there is no such file yet, so that it needs no credentials.
 * @returns undefined where the sidecar's key does not come from a profile.
 * @throws RunError when there is no usable key; nothing has been changed then.
 */
export async function readCredentials(
	settings: Pick<StackSettings, "offsite" | "offsiteCredentials" | "offsiteProfile">,
	file: string,
	placeholder?: AccessKeyPair,
): Promise<string | undefined> {
	const { offsite, offsiteCredentials, offsiteProfile } = settings;
	if (!offsite || offsiteCredentials !== "profile") return undefined;
	const refuse = (problem: string, mend: string) =>
		new RunError(`offsiteCredentialsFile ${file} ${problem}; nothing was changed. ${mend}`);
	try {
		accessSync(file, constants.R_OK);
	} catch (error) {
		if (placeholder && (error as NodeJS.ErrnoException).code === "ENOENT")
			return credentialsText(placeholder);
		throw refuse(
			`cannot be read (${(error as Error).message})`,
			`Write the uploader's key into it, as [${offsiteProfile}] with aws_access_key_id and aws_secret_access_key, mode 600.`,
		);
	}
	const { credentialsFile } = await loadSharedConfigFiles({ filepath: file, configFilepath: "/dev/null" });
	const profile = credentialsFile[offsiteProfile];
	if (!profile)
		throw refuse(`has no profile ${offsiteProfile}`, "Add it, or name another one as offsiteProfile.");
	const { aws_access_key_id: id, aws_secret_access_key: secret, aws_session_token: session } = profile;
	if (!id || !secret) {
		throw refuse(
			`has no aws_access_key_id and aws_secret_access_key in profile ${offsiteProfile}`,
			"The sidecar can neither assume a role nor sign in: give it a key of its own.",
		);
	}
	if (session) {
		throw refuse(
			`holds a session's key in profile ${offsiteProfile}, which expires`,
			"The sidecar uploads every night: give it a key that lasts.",
		);
	}
	return credentialsText({ id, secret });
}
