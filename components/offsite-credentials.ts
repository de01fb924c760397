/** The key that the sidecar uploads with, where the settings name one: from a profile of a credentials file. */
import { readFileSync } from "node:fs";
import { parse } from "ini";
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
export function readCredentials(
	settings: Pick<StackSettings, "offsite" | "offsiteCredentials" | "offsiteProfile">,
	file: string,
	placeholder?: AccessKeyPair,
): string | undefined {
	const { offsite, offsiteCredentials, offsiteProfile } = settings;
	if (!offsite || offsiteCredentials !== "profile") return undefined;
	const refuse = (problem: string, mend: string) =>
		new RunError(`offsiteCredentialsFile ${file} ${problem}; nothing was changed. ${mend}`);
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if (placeholder && (error as NodeJS.ErrnoException).code === "ENOENT")
			return credentialsText(placeholder);
		throw refuse(
			`cannot be read (${(error as Error).message})`,
			`Write the uploader's key into it, as [${offsiteProfile}] with aws_access_key_id and aws_secret_access_key, mode 600.`,
		);
	}
	const profile = sectionOf(text, offsiteProfile);
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

/** The library takes dots in a section's name for nesting; a profile is found by the name as it is written. */
function sectionOf(text: string, profile: string): Readonly<Record<string, string>> | undefined {
	let section: unknown = parse(text);
	for (const part of profile.split(".")) section = (section as Record<string, unknown> | undefined)?.[part];
	return section as Readonly<Record<string, string>> | undefined;
}
