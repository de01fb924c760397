/** The keys: of the state, which must be there, and of encrypted backups, which must not be here. */
import { existsSync, statSync } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { passphraseFile } from "../../../engine/local/passphrase.ts";
import { age } from "../../output.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** Days within which a key ought to have opened a backup: the specification's quarter. */
const triedWithinDays = 92;
/** Levels of directories that are searched for private keys, files looked into, and their largest size. */
const search = { depth: 3, files: 2000, bytes: 16 << 10 };
/** Directories of tools, with many files of others. */
const skipped = new Set(["node_modules", ".git", ".stack", "__pycache__"]);
const ageKey = /^AGE-SECRET-KEY-1/m;
const sshKey = /^-----BEGIN (OPENSSH|RSA) PRIVATE KEY-----/m;

export async function lookAtKeys(facts: Facts): Promise<Finding[]> {
	const findings = [
		...passphrase(facts),
		...(await privateKeys(facts)),
		...(facts.context.load().settings.backupRecipients.length > 0 ? await trial(facts) : []),
	];
	if (findings.length > 0) return findings;
	const message = facts.appliedBy ? "the passphrase of the state is there" : "no state has been made yet";
	return [{ verdict: "ok", message: `${message}; no private key lies here` }];
}

/** Whether the state's passphrase is given, in the environment or as the file that is read. */
export function hasPassphrase(project: string): boolean {
	const { PULUMI_CONFIG_PASSPHRASE: given } = process.env;
	return Boolean(given) || existsSync(passphrasePlace(project));
}

function passphrasePlace(project: string): string {
	return process.env.PULUMI_CONFIG_PASSPHRASE_FILE || passphraseFile(project);
}

/** Without it the state cannot be read; who can read it has every secret of the stack. */
function passphrase({ context, appliedBy }: Facts): Finding[] {
	const file = passphrasePlace(context.project);
	if (!hasPassphrase(context.project)) {
		if (!appliedBy) return [];
		return [
			{
				verdict: "fail",
				message: `the passphrase of the state is missing (${file}); without it the stack cannot be changed. Its data is not touched by that`,
				fix: `bring ${file} back from your copy, or set PULUMI_CONFIG_PASSPHRASE`,
			},
		];
	}
	const mode = existsSync(file) ? statSync(file).mode & 0o777 : 0;
	if (process.env.PULUMI_CONFIG_PASSPHRASE || (mode & 0o077) === 0) return [];
	return [
		{
			verdict: "fail",
			message: `the passphrase of the state, ${file}, has mode ${mode.toString(8)}: other users can read every secret of the stack`,
			fix: `chmod 600 ${file}`,
		},
	];
}

/** Whoever takes backups or project along must not have the key that opens them. */
async function privateKeys({ context }: Facts): Promise<Finding[]> {
	const { directories, settings } = context.load();
	const patterns = [
		ageKey,
		...(settings.backupRecipients.some((key) => key.startsWith("ssh-")) ? [sshKey] : []),
	];
	const places = new Set([directories.backups, context.project]);
	const found = new Set<string>();
	for (const place of places) {
		for (const file of await smallFiles(place)) {
			const text = await head(file);
			if (patterns.some((pattern) => pattern.test(text))) found.add(file);
		}
	}
	return [...found].map((file) => ({
		verdict: "fail",
		message: `${file} holds a private key: whoever gets the backups or the project can read encrypted backups`,
		fix: `move it to where the backups are not, such as a password manager, and remove it: shred -u ${file}`,
	}));
}

async function smallFiles(directory: string): Promise<string[]> {
	const files: string[] = [];
	const visit = async (place: string, depth: number): Promise<void> => {
		const entries = await readdir(place, { withFileTypes: true }).catch(() => []);
		for (const entry of entries) {
			const path = join(place, entry.name);
			if (files.length >= search.files) return;
			if (entry.isFile()) files.push(path);
			else if (entry.isDirectory() && depth < search.depth && !skipped.has(entry.name))
				await visit(path, depth + 1);
		}
	};
	await visit(directory, 1);
	return files;
}

/** A key is a small file; empty for any other, and for one that cannot be read. */
async function head(file: string): Promise<string> {
	const handle = await open(file, "r").catch(() => undefined);
	if (!handle) return "";
	try {
		const { size } = await handle.stat();
		return size > search.bytes ? "" : await handle.readFile("utf8");
	} finally {
		await handle.close();
	}
}

/** A backup that nobody has opened since is a hope: the container that makes it cannot read it. */
async function trial(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const { points } = await facts.backups();
	const own = points.filter(({ stack, encrypted }) => stack === context.stack && encrypted);
	const newest = own.findLast(({ kind }) => kind === "full") ?? own.at(-1);
	if (!newest) return [];
	const fix = `${context.command(`backup verify ${newest.file} --identity FILE`)}, with FILE the private key`;
	const tried = own
		.filter(({ verified }) => verified?.ok && verified.how === "content")
		.map(({ verified }) => new Date(verified?.at ?? 0))
		.sort((a, b) => a.getTime() - b.getTime())
		.at(-1);
	if (!tried) {
		const message = "backups are encrypted, and none was ever opened with a private key";
		return [{ verdict: "warn", message, fix }];
	}
	if (Date.now() - tried.getTime() < triedWithinDays * 86_400_000) return [];
	return [
		{ verdict: "warn", message: `no encrypted backup was opened with a private key for ${age(tried)}`, fix },
	];
}
