/** Finds the files that an operator names: backups, and the keys that open them. */
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { invocationDirectory, type VerbContext } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";

/** A file, apart from where it lies. */
export interface BackupFile {
	readonly directory: string;
	readonly file: string;
}

/**
 * By name in the backup directory, or by path; links such as latest.tar.gz are followed.
 *
 * @throws StackError when there is no such file.
 */
export function findBackupFile(context: VerbContext, name: string): BackupFile {
	const backups = context.load().directories.backups;
	const places = [resolve(invocationDirectory(), name), ...(name.includes("/") ? [] : [join(backups, name)])];
	const found = places.findLast((place) => existsSync(place));
	if (!found || !statSync(found).isFile()) {
		throw new StackError(found ? `${found} is not a file` : `there is no backup ${name}`, {
			exitCode: exitCodes.usage,
			fix: `see what there is: ${context.command("backup list")}`,
		});
	}
	const path = realpathSync(found);
	const directory = dirname(path);
	return { directory: sameDirectory(directory, backups) ? backups : directory, file: basename(path) };
}

function sameDirectory(one: string, other: string): boolean {
	return existsSync(other) && realpathSync(other) === one;
}

/** @throws StackError when the private key cannot be read. */
export function identityFile(name: string): string {
	return readableFile(name, "key", "name the file with the age or ssh private key: --identity FILE");
}

/** @throws StackError when the file with the key to the bucket cannot be read. */
export function credentialsFile(name: string): string {
	return readableFile(
		name,
		"credentials file",
		"name a file like ~/.aws/credentials, whose profile default counts: --credentials FILE",
	);
}

function readableFile(name: string, what: string, fix: string): string {
	const path = resolve(invocationDirectory(), name);
	try {
		accessSync(path, constants.R_OK);
		if (statSync(path).isFile()) return path;
	} catch {
		// Told below.
	}
	throw new StackError(`the ${what} ${path} cannot be read`, { exitCode: exitCodes.usage, fix });
}
