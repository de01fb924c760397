/** `stack completion`: scripts that complete verbs, services, stacks and options, made from the table. */
import { serviceNames } from "../../components/catalogue.ts";
import { commands, globalOptions, type OptionSpec } from "../commands.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { exitCodes, StackError } from "../errors.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** Names under which the program is called. */
const programs = ["stack", "docker-dev.sh"];

export async function completion(
	{ output, stack }: VerbContext,
	{ arguments: args }: Invocation,
): Promise<void> {
	const shell = shells.find((name) => name === args[0]);
	if (!shell) {
		throw new StackError(`there is no completion for ${args[0]}`, {
			exitCode: exitCodes.usage,
			fix: `use one of: ${shells.join(", ")}`,
		});
	}
	output.data(stack, { shell, script: completionScript(shell) });
	output.result(completionScript(shell));
}

export function completionScript(shell: Shell): string {
	return { bash: bashScript, zsh: zshScript, fish: fishScript }[shell]();
}

/** What completes a value. */
type Source = "stacks" | "directories" | "files" | readonly string[];

/** Options that take a value: their spellings, and what completes it. */
interface ValueOption {
	readonly spellings: readonly string[];
	readonly source: Source;
}

/** What may follow a verb. */
interface Following {
	readonly values: readonly string[];
	readonly options: readonly string[];
	/** Whether recovery points are offered as well. */
	readonly points: boolean;
}

function following(name: string): Following {
	const command = commands.find((candidate) => candidate.name === name);
	const kinds = (command?.arguments ?? []).map(({ completion: kind }) => kind);
	const values = kinds.flatMap((kind): readonly string[] => {
		if (kind === "services") return serviceNames;
		return kind === "shells" ? shells : [];
	});
	return {
		values: [...subVerbs(name), ...values],
		options: [...(command?.options ?? []), ...globalOptions].flatMap(longSpellings),
		points: kinds.includes("recovery-points"),
	};
}

/** `list` of `backup list`. */
function subVerbs(verb: string): string[] {
	return names.filter((name) => name.startsWith(`${verb} `)).map((name) => name.slice(verb.length + 1));
}

function spellings({ flags }: OptionSpec): string[] {
	return flags.match(/(?<![\w-])--?[\w-]+/g) ?? [];
}

function longSpellings(option: OptionSpec): string[] {
	return spellings(option).filter((flag) => flag.startsWith("--"));
}

function sourceOf({ flags, choices }: OptionSpec): Source {
	if (choices) return choices;
	if (flags.includes("--stack")) return "stacks";
	return flags.includes("<directory>") ? "directories" : flags.includes("<file>") ? "files" : [];
}

const names = commands.map(({ name }) => name);
const verbs = names.filter((name) => !name.includes(" "));
const withSubVerb = names.filter((name) => name.includes(" "));
const globals = globalOptions.flatMap(longSpellings);
/** Each option once, though several verbs have it. */
const valueOptions: readonly ValueOption[] = [
	...new Map(
		[...globalOptions, ...commands.flatMap(({ options = [] }) => options)]
			.filter(({ flags }) => flags.includes("<"))
			.map((option) => [option.flags, { spellings: spellings(option), source: sourceOf(option) }]),
	).values(),
];
const valueSpellings = valueOptions.flatMap((option) => option.spellings);

/** Backups where they usually are, in the project directory; their index files end in .json. */
const prefixes = ["full", "db", "media", "static"];
const directories = ["backups", "backups/*"];
const pointFiles = directories.flatMap((directory) =>
	prefixes.map((prefix) => `${directory}/${prefix}_backup_*`),
);
/** Settings files in the project directory name the stacks. */
const stackFiles = "Pulumi.*.yaml";

function bashScript(): string {
	const actions = { stacks: '-W "$(_stack_stacks)"', directories: "-d", files: "-f" };
	const answers = valueOptions.map(({ spellings: flags, source }) => {
		const action = typeof source === "string" ? actions[source] : `-W "${source.join(" ")}"`;
		return `\t${flags.join(" | ")}) _stack_offer "$current" ${action}; return ;;`;
	});
	const cases = names.map((name) => {
		const { values, options, points } = following(name);
		const found = points ? " $(_stack_points)" : "";
		return `\t"${name}") values="${values.join(" ")}${found}" options="${options.join(" ")}" ;;`;
	});
	return `# Completion of ${programs.join(" and ")} for bash. Load it: source <(./docker-dev.sh completion bash)
_stack_stacks() {
	local file
	for file in ${stackFiles}; do
		file=\${file#Pulumi.}
		[ "$file" = '*.yaml' ] || printf '%s ' "\${file%.yaml}"
	done
}
_stack_points() {
	local file
	for file in ${pointFiles.join(" ")}; do
		case $file in
		*.json) ;;
		*) [ ! -e "$file" ] || printf '%s ' "$file" ;;
		esac
	done
}
_stack_offer() {
	mapfile -t COMPREPLY < <(compgen "\${@:2}" -- "$1")
}
_stack_complete() {
	local current=\${COMP_WORDS[COMP_CWORD]} verb="" values="" options="" word skip=""
	case \${COMP_WORDS[COMP_CWORD - 1]} in
${answers.join("\n")}
	esac
	for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [ -n "$skip" ]; then
			skip=""
			continue
		fi
		case $word in
		${valueSpellings.join(" | ")}) skip=1 ;;
		-*) ;;
		*)
			case "$verb $word" in
			${withSubVerb.map((name) => `"${name}"`).join(" | ")}) verb="$verb $word" ;;
			*) [ -n "$verb" ] || verb=$word ;;
			esac
			;;
		esac
	done
	case $verb in
	"") values="${[...verbs, "help"].join(" ")}" options="${globals.join(" ")}" ;;
${cases.join("\n")}
	esac
	case $current in
	-*) _stack_offer "$current" -W "$options" ;;
	*) _stack_offer "$current" -W "$values" ;;
	esac
}
complete -F _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

function zshScript(): string {
	const quote = (text: string) => `'${text.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
	const described = commands
		.filter(({ name }) => verbs.includes(name))
		.map(({ name, summary }) => `\t\t${quote(name)}:${quote(summary)}`);
	const actions = { stacks: "_stack_stacks", directories: "_files -/", files: "_files" };
	const answers = valueOptions.map(({ spellings: flags, source }) => {
		const action = typeof source === "string" ? actions[source] : `compadd -- ${source.join(" ")}`;
		return `\t${flags.join(" | ")}) ${action}; return ;;`;
	});
	const cases = names.map((name) => {
		const { values, options, points } = following(name);
		const found = points ? pointFiles.map((pattern) => `${pattern}(N)`) : [];
		return `\t"${name}") values=(${[...values, ...found].join(" ")}) options=(${options.join(" ")}) ;;`;
	});
	return `#compdef ${programs.join(" ")}
# Completion of ${programs.join(" and ")} for zsh. Load it: source <(./docker-dev.sh completion zsh)
_stack_stacks() {
	local -a stacks=(${stackFiles}(N))
	stacks=(\${stacks#Pulumi.})
	compadd -- \${stacks%.yaml}
}
_stack_complete() {
	local verb="" word skip=""
	local -a verbs values options
	verbs=(
${described.join("\n")}
	)
	case \${words[CURRENT-1]} in
${answers.join("\n")}
	esac
	for word in \${words[2,CURRENT-1]}; do
		if [[ -n $skip ]]; then skip=""; continue; fi
		case $word in
		${valueSpellings.join(" | ")}) skip=1 ;;
		-*) ;;
		*)
			case "$verb $word" in
			(${withSubVerb.map((name) => `"${name}"`).join("|")}) verb="$verb $word" ;;
			(*) [[ -n $verb ]] || verb=$word ;;
			esac
			;;
		esac
	done
	case $verb in
	"") options=(${globals.join(" ")}) ;;
${cases.join("\n")}
	esac
	values=(\${values:#*.json})
	if [[ \${words[CURRENT]} == -* ]]; then compadd -- $options
	elif [[ -z $verb ]]; then _describe verb verbs
	else compadd -- $values
	fi
}
compdef _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

function fishScript(): string {
	const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
	const lines = programs.flatMap((program) => [
		`complete -c ${program} -f`,
		...globalOptions.map((option) => fishOption(`complete -c ${program}`, option, quote)),
		...commands.flatMap(({ name, summary, options = [] }) => {
			const before = name.split(" ").slice(0, -1);
			const at = (words: readonly string[]) =>
				`complete -c ${program} -n ${quote(["_stack_at", ...words].join(" "))}`;
			const after = at(name.split(" "));
			const { values, points } = following(name);
			const own = values.filter((value) => !subVerbs(name).includes(value));
			return [
				`${at(before)} -a ${name.split(" ").at(-1)} -d ${quote(summary)}`,
				...(own.length > 0 ? [`${after} -a ${quote(own.join(" "))}`] : []),
				...(points ? [`${after} -a '(_stack_points)'`] : []),
				...options.map((option) => fishOption(after, option, quote)),
			];
		}),
	]);
	return `# Completion of ${programs.join(" and ")} for fish. Load it: ./docker-dev.sh completion fish | source
function _stack_verb
	set -l verb ""
	set -l skip no
	for word in (commandline -opc)[2..]
		if test $skip = yes
			set skip no
			continue
		end
		switch $word
			case ${valueSpellings.join(" ")}
				set skip yes
			case '-*'
			case '*'
				if contains -- "$verb $word" ${withSubVerb.map(quote).join(" ")}
					set verb "$verb $word"
				else if test -z "$verb"
					set verb $word
				end
		end
	end
	echo $verb
end
function _stack_at
	set -l verb (_stack_verb)
	test "$verb" = "$argv"
end
function _stack_stacks
	for file in ${stackFiles}
		string replace -r '^Pulumi\\.(.+)\\.yaml$' '$1' $file
	end
end
function _stack_points
	for file in ${pointFiles.join(" ")}
		string match -v '*.json' $file
	end
end
${lines.join("\n")}`;
}

function fishOption(complete: string, option: OptionSpec, quote: (text: string) => string): string {
	const short = spellings(option).find((flag) => /^-\w$/.test(flag));
	const [long = ""] = longSpellings(option);
	const actions = {
		stacks: " -xa '(_stack_stacks)'",
		directories: " -xa '(__fish_complete_directories)'",
		files: " -rF",
	};
	const source = sourceOf(option);
	const choices = source.length > 0 ? ` -xa ${quote([...source].join(" "))}` : " -x";
	const value = !option.flags.includes("<") ? "" : typeof source === "string" ? actions[source] : choices;
	const written = `${short ? `-s ${short.slice(1)} ` : ""}-l ${long.slice(2)}`;
	return `${complete} ${written} -d ${quote(option.description)}${value}`;
}
