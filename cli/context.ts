/** What a verb is given: the options of every verb, the output, and the stack it is about. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { programDirectory } from "../components/directories.ts";
import type { Engine } from "../engine/engine.ts";
import { findProject, loadStack, type StackContext, stackNames } from "../engine/stack-context.ts";
import { exitCodes, StackError } from "./errors.ts";

import type { Output } from "./output.ts";

/** The stack that is meant where none is named. */
export const defaultStack = "dev";

/** Options of every verb, as given. */
export interface GlobalOptions {
	readonly stack?: string;
	readonly directory?: string;
	readonly engine?: Engine["name"];
	readonly json?: boolean;
	readonly quiet?: boolean;
	readonly color?: boolean;
	readonly install?: boolean;
	readonly input?: boolean;
	readonly debug?: boolean;
}

/** Arguments and options of the verb itself. */
export interface Invocation {
	readonly arguments: readonly string[];
	/** By commander's attribute name; absent where not given. */
	readonly options: Readonly<Record<string, unknown>>;
}

/** A verb. Returns its exit code; none is success. */
// biome-ignore lint/suspicious/noConfusingVoidType: most verbs have nothing to return.
export type Verb = (context: VerbContext, invocation: Invocation) => Promise<number | void>;

export interface VerbContext {
	readonly globals: GlobalOptions;
	readonly output: Output;
	/** Aborted by the first Ctrl-C or SIGTERM. */
	readonly signal: AbortSignal;
	/** Name of the stack; there is a settings file for it. */
	readonly stack: string;
	/** Directory of Pulumi.yaml. */
	readonly project: string;
	/**
	 * Reads the stack's settings.
	 *
	 * @throws SettingsError when they are wrong.
	 */
	load(): StackContext;
	/** A command line for the operator to copy, on the same stack. */
	command(line: string): string;
}

export function createContext(globals: GlobalOptions, output: Output, signal: AbortSignal): VerbContext {
	const stack = globals.stack ?? defaultStack;
	const project = projectDirectory(globals);
	requireStack(project, stack);
	let loaded: StackContext | undefined;
	return {
		globals,
		output,
		signal,
		stack,
		project,
		load: () => {
			loaded ??= loadStack(project, stack);
			return loaded;
		},
		command: (line) => commandLine(stack, line),
	};
}

/** A command line for the operator to copy. */
export function commandLine(stack: string, line: string): string {
	return `./docker-dev.sh ${stack === defaultStack ? "" : `-s ${stack} `}${line}`;
}

/**
 * Directory in which the operator typed the command; relative arguments are relative to it. The starters go
 * into the program's own directory and leave it in INIT_CWD, which means nothing anywhere else.
 */
export function invocationDirectory(): string {
	return process.cwd() === programDirectory ? (process.env.INIT_CWD ?? process.cwd()) : process.cwd();
}

/** The project directory that the options name. */
export function projectDirectory({ directory }: GlobalOptions): string {
	const named = directory ?? process.env.PERSISTENT_STACK_DIRECTORY;
	if (!named) return findProject(invocationDirectory());
	const project = resolve(invocationDirectory(), named);
	if (existsSync(join(project, "Pulumi.yaml"))) return project;
	const source = directory ? "--directory" : "PERSISTENT_STACK_DIRECTORY";
	throw new StackError(`there is no Pulumi.yaml in ${project}, which ${source} names`, {
		exitCode: exitCodes.usage,
		fix: "name the directory that holds Pulumi.yaml",
	});
}

function requireStack(project: string, stack: string): void {
	// Part of file names.
	if (!/^[\w.-]{1,100}$/.test(stack) || stack.startsWith(".")) {
		throw new StackError(`"${stack}" is not a stack's name`, {
			exitCode: exitCodes.usage,
			fix: "letters, digits, hyphens, underscores and dots, such as dev",
		});
	}
	if (existsSync(join(project, `Pulumi.${stack}.yaml`))) return;
	throw new StackError(`there is no stack ${stack} in ${project}: no file Pulumi.${stack}.yaml`, {
		exitCode: exitCodes.usage,
		fix: `use one of: ${stackNames(project).join(", ") || "none yet"}; or write that file`,
	});
}
