/** Builds the parser and its help from the table of commands. */
import { readFileSync } from "node:fs";
import { Argument, Command, Help, Option } from "commander";
import { type CommandSpec, commands, globalOptions, type OptionSpec, usageOf } from "./commands.ts";
import type { GlobalOptions, Invocation } from "./context.ts";
import { exitCodeMeanings } from "./failure.ts";

/** What the command line asks for. */
export interface Parsed {
	readonly command: CommandSpec;
	readonly globals: GlobalOptions;
	readonly invocation: Invocation;
}

/**
 * Parses a command line.
 *
 * @param args arguments without the program's name.
 * @returns undefined when help or the version was asked for, and has been printed.
 * @throws CommanderError when the arguments are wrong.
 */
export function parse(args: readonly string[]): Parsed | undefined {
	let parsed: Parsed | undefined;
	const program = createProgram((result) => {
		parsed = result;
	});
	try {
		program.parse([...args], { from: "user" });
	} catch (error) {
		if ((error as { exitCode?: number }).exitCode === 0) return undefined;
		throw error;
	}
	return parsed;
}

/** Help of the program, or of one command. */
export function helpText(name?: string): string {
	const program = createProgram(() => {});
	return (allCommands(program).find((command) => fullName(command) === name) ?? program).helpInformation();
}

function createProgram(onParsed: (parsed: Parsed) => void): Command {
	const program = new Command("stack")
		.description(
			"A Docker stack that cannot lose its data. Run it as ./docker-dev.sh VERB or npx stack VERB.",
		)
		.usage("[options] <verb>")
		.version(version(), "-V, --version", "print the version")
		.helpOption("-h, --help", "show help")
		.addHelpCommand(
			new Command("help").argument("[verb]").description("show help of a verb").helpGroup("This program:"),
		)
		.configureHelp({ subcommandTerm, visibleCommands: allCommands })
		.configureOutput({ outputError: () => {} })
		.enablePositionalOptions()
		.exitOverride();
	for (const option of globalOptions) program.addOption(createOption(option));
	for (const spec of commands) {
		const [verb, subVerb] = spec.name.split(" ");
		const parent = subVerb
			? (program.commands.find((command) => command.name() === verb) as Command)
			: program;
		parent.addCommand(createCommand(spec, onParsed));
	}
	const codes = exitCodeMeanings.map(([code, meaning]) => `  ${code.padEnd(8)} ${meaning}`).join("\n");
	return program.addHelpText("after", `\nExit codes:\n${codes}`);
}

function createCommand(spec: CommandSpec, onParsed: (parsed: Parsed) => void): Command {
	const command = new Command(spec.name.split(" ").at(-1))
		.summary(spec.summary)
		.description([capitalised(spec.summary), spec.details].filter(Boolean).join("\n\n"))
		.helpOption("-h, --help", "show help")
		.helpGroup(`${spec.group}:`)
		.configureHelp({
			subcommandTerm,
			groupItems: (all, visible, groupOf) =>
				new Help().groupItems(all, visible, (item) =>
					item instanceof Command ? "Or with a sub-verb:" : groupOf(item),
				),
		})
		.configureOutput({ outputError: () => {} })
		.enablePositionalOptions()
		.exitOverride();
	for (const { name, description, required, variadic } of spec.arguments ?? []) {
		const written = `${name}${variadic ? "..." : ""}`;
		command.addArgument(new Argument(required ? `<${written}>` : `[${written}]`, description));
	}
	for (const option of spec.options ?? []) command.addOption(createOption(option));
	command.optionsGroup("Options of every verb:");
	for (const option of globalOptions) command.addOption(createOption(option));
	if (spec.passThrough) command.passThroughOptions();
	if (spec.passThrough === "everything") command.allowUnknownOption();
	command.action(() => {
		const globals = readGlobals(pathTo(command));
		const names = new Set((spec.options ?? []).map((option) => createOption(option).attributeName()));
		const given = ([name]: [string, unknown]) =>
			names.has(name) && command.getOptionValueSource(name) === "cli";
		const options = Object.fromEntries(Object.entries(command.opts()).filter(given));
		onParsed({
			command: spec,
			globals,
			invocation: { arguments: withoutSeparator(spec, command.args), options },
		});
	});
	return command;
}

function createOption({ flags, description, choices }: OptionSpec): Option {
	const option = new Option(flags, description);
	return choices ? option.choices([...choices]) : option;
}

/** How the list of verbs names one. */
function subcommandTerm(command: Command): string {
	const name = fullName(command);
	const spec = commands.find((candidate) => candidate.name === name);
	return spec ? usageOf(spec) : `${name} [verb]`;
}

/** Verbs, each with its sub-verbs after it, and the help command. */
function allCommands(program: Command): Command[] {
	const verbs = program.commands.flatMap((command) => [command, ...command.commands]);
	const others = new Help().visibleCommands(program).filter((command) => !verbs.includes(command));
	return [...verbs, ...others];
}

/** The program, the verb, and where there is one the sub-verb. */
function pathTo(command: Command): Command[] {
	return command.parent ? [...pathTo(command.parent), command] : [command];
}

/** Name of a verb or sub-verb as the table has it. */
function fullName(command: Command): string {
	return (
		pathTo(command)
			.slice(1)
			.map((part) => part.name())
			.join(" ") || command.name()
	);
}

/** The global options as given, before or after the verb; the one after it counts. */
function readGlobals(places: readonly Command[]): GlobalOptions {
	const given: Record<string, unknown> = {};
	for (const place of places) {
		for (const { flags } of globalOptions) {
			const name = createOption({ flags, description: "" }).attributeName();
			if (place.getOptionValueSource(name) === "cli") given[name] = place.getOptionValue(name);
		}
	}
	return given;
}

/** `exec db -- ls` is `exec db ls`: the separator is for this program, not for the command inside. */
function withoutSeparator({ passThrough }: CommandSpec, args: readonly string[]): string[] {
	const at = passThrough === "after-argument" ? 1 : 0;
	return passThrough && args[at] === "--" ? args.toSpliced(at, 1) : [...args];
}

function capitalised(sentence: string): string {
	return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

function version(): string {
	const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
	return (JSON.parse(manifest) as { version: string }).version;
}
