/** A stack as its files describe it, read without Pulumi, which costs half a second to import. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parse } from "yaml";
import { programDirectory, type StackDirectories, stackDirectories } from "../components/directories.ts";
import type { StackIdentity } from "../components/identity.ts";
import { parseSettings, projectName, type StackSettings } from "../components/settings.ts";

export interface StackContext {
	/** Directory of Pulumi.yaml. */
	readonly project: string;
	readonly identity: StackIdentity;
	readonly settings: StackSettings;
	readonly directories: StackDirectories;
	/** Config values of the stack, as Pulumi hands them to a program; without those that are encrypted. */
	readonly config: Readonly<Record<string, string>>;
}

/** Nearest directory whose Pulumi.yaml is of this project, from `from` upwards; the program's own where there is none. */
export function findProject(from: string): string {
	for (let directory = resolve(from); ; directory = dirname(directory)) {
		if (isThisProject(join(directory, "Pulumi.yaml"))) return directory;
		if (dirname(directory) === directory) return programDirectory;
	}
}

/** A Pulumi.yaml may also be that of another program, whose directory this one is called from. */
function isThisProject(file: string): boolean {
	return (
		existsSync(file) && (parse(readFileSync(file, "utf8")) as { name?: string } | null)?.name === projectName
	);
}

export function stackFile(project: string, stack: string): string {
	return join(project, `Pulumi.${stack}.yaml`);
}

/** Names of the stacks that have a settings file. */
export function stackNames(project: string): string[] {
	return readdirSync(project)
		.map((file) => /^Pulumi\.(.+)\.yaml$/.exec(file)?.[1])
		.filter((name) => name !== undefined);
}

/**
 * Reads a stack's settings.
 *
 * @throws Error when there is no such stack.
 * @throws SettingsError when settings are wrong, all at once.
 */
export function loadStack(project: string, stack: string): StackContext {
	const file = stackFile(project, stack);
	if (!existsSync(file)) {
		const known = stackNames(project).join(", ") || "none";
		throw new Error(`there is no stack ${stack}: ${file} does not exist. Stacks here: ${known}.`);
	}
	const config = readConfig(file);
	const settings = parseSettings(stack, config);
	return {
		project,
		identity: { stack, prefix: settings.prefix },
		settings,
		directories: stackDirectories(project, stack, settings),
		config,
	};
}

/** Pulumi gives a program strings, with anything structured as JSON. */
function readConfig(file: string): Record<string, string> {
	const document = (parse(readFileSync(file, "utf8")) ?? {}) as { config?: Record<string, unknown> };
	return Object.fromEntries(
		Object.entries(document.config ?? {})
			.filter(([, value]) => !(value !== null && typeof value === "object" && "secure" in value))
			.map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
	);
}
