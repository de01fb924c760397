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

/** Words that follow a verb: what its arguments complete to, and its options. */
function wordsAfter(name: string): Words {
	const command = commands.find((candidate) => candidate.name === name);
	const kinds = (command?.arguments ?? []).map(({ completion: kind }) => kind);
	const values = kinds.flatMap((kind): readonly string[] => {
		if (kind === "services") return serviceNames;
		return kind === "shells" ? shells : [];
	});
	return {
		values: [...subVerbs(name), ...values],
		options: flagsOf([...(command?.options ?? []), ...globalOptions]),
		files: kinds.includes("recovery-points"),
	};
}

interface Words {
	readonly values: readonly string[];
	readonly options: readonly string[];
	/** Whether recovery points are offered as well. */
	readonly files: boolean;
}

/** `list` of `backup list`. */
function subVerbs(verb: string): string[] {
	return names.filter((name) => name.startsWith(`${verb} `)).map((name) => name.slice(verb.length + 1));
}

function flagsOf(options: readonly OptionSpec[]): string[] {
	return options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? []);
}

const names = commands.map(({ name }) => name);
const verbs = names.filter((name) => !name.includes(" "));
const withSubVerb = names.filter((name) => name.includes(" "));
/** Recovery points where they usually are; their index files have a name more. */
const pointFiles = "backups/{full,db}_backup_*[!n]";
/** Settings files in the project directory name the stacks. */
const stackFiles = "Pulumi.*.yaml";

function bashScript(): string {
	const cases = names.map((name) => {
		const { values, options, files } = wordsAfter(name);
		const found = files ? "$(_stack_points) " : "";
		return `\t\t"${name}") words="${found}${[...values, ...options].join(" ")}" ;;`;
	});
	return `# Completion of ${programs.join(" and ")} for bash. Load it: source <(./docker-dev.sh completion bash)
_stack_points() {
	local file
	for file in ${pointFiles}; do
		[ -e "$file" ] && printf '%s ' "$file"
	done
}
_stack_complete() {
	local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} verb="" words="" word file skip=""
	case $previous in
	-s | --stack)
		for file in ${stackFiles}; do
			[ -e "$file" ] || continue
			file=\${file#Pulumi.}
			words+=" \${file%.yaml}"
		done
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return
		;;
	-C | --directory)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	--engine)
		mapfile -t COMPREPLY < <(compgen -W "local pulumi" -- "$current")
		return
		;;
	esac
	for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [ -n "$skip" ]; then
			skip=""
			continue
		fi
		case $word in
		-s | --stack | -C | --directory | --engine) skip=1 ;;
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
		"") words="${[...verbs, "help", ...flagsOf(globalOptions)].join(" ")}" ;;
${cases.join("\n")}
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

function zshScript(): string {
	const quote = (text: string) => `'${text.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
	const described = commands
		.filter(({ name }) => verbs.includes(name))
		.map(({ name, summary }) => `\t\t${quote(name)}:${quote(summary)}`.replace("':'", ":"));
	const cases = names.map((name) => {
		const { values, options, files } = wordsAfter(name);
		const found = files ? ` ${pointFiles.replace("{full,db}", "(full|db)")}(N)` : "";
		return `\t\t"${name}") compadd --${found} ${[...values, ...options].join(" ")} ;;`;
	});
	return `#compdef ${programs.join(" ")}
# Completion of ${programs.join(" and ")} for zsh. Load it: source <(./docker-dev.sh completion zsh)
_stack_complete() {
	local verb="" word skip="" previous=\${words[CURRENT-1]}
	local -a verbs stacks
	verbs=(
${described.join("\n")}
	)
	case $previous in
	-s | --stack)
		stacks=(${stackFiles}(N))
		stacks=(\${\${stacks#Pulumi.}%.yaml})
		compadd -a stacks
		return
		;;
	-C | --directory) _files -/; return ;;
	--engine) compadd local pulumi; return ;;
	esac
	for word in \${words[2,CURRENT-1]}; do
		if [[ -n $skip ]]; then skip=""; continue; fi
		case $word in
		-s | --stack | -C | --directory | --engine) skip=1 ;;
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
		"") _describe verb verbs; compadd -- ${flagsOf(globalOptions).join(" ")} ;;
${cases.join("\n")}
	esac
}
compdef _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

const fishPoints = "(string match -v '*.json' -- backups/full_backup_* backups/db_backup_*)";

function fishScript(): string {
	const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
	const lines = programs.flatMap((program) => [
		`complete -c ${program} -f`,
		...globalOptions.map((option) => fishOption(program, "", option, quote)),
		...commands.flatMap(({ name, summary, options = [] }) => {
			const [verb = "", subVerb] = name.split(" ");
			const seen = (words: string) => `__fish_seen_subcommand_from ${words}`;
			const subs = subVerbs(name);
			const condition = [
				seen(verb),
				...(subVerb ? [seen(subVerb)] : []),
				...(subs.length > 0 ? [`not ${seen(subs.join(" "))}`] : []),
			].join("; and ");
			const after = `-n '${condition}'`;
			const before = subVerb
				? `-n '${seen(verb)}; and not ${seen(subVerbs(verb).join(" "))}'`
				: "-n __fish_use_subcommand";
			const { values, files } = wordsAfter(name);
			const own = values.filter((value) => !subs.includes(value));
			return [
				`complete -c ${program} ${before} -a ${subVerb ?? verb} -d ${quote(summary)}`,
				...(own.length > 0 ? [`complete -c ${program} ${after} -a ${quote(own.join(" "))}`] : []),
				...(files ? [`complete -c ${program} ${after} -a ${quote(fishPoints)}`] : []),
				...options.map((option) => fishOption(program, `${after} `, option, quote)),
			];
		}),
	]);
	return [
		`# Completion of ${programs.join(" and ")} for fish. Load it: ./docker-dev.sh completion fish | source`,
		...lines,
	].join("\n");
}

function fishOption(
	program: string,
	when: string,
	{ flags, description, choices }: OptionSpec,
	quote: (text: string) => string,
): string {
	const short = /(?:^|\s)-(\w)\b/.exec(flags)?.[1];
	const long = /--([\w-]+)/.exec(flags)?.[1];
	const stacks = `-xa "(string replace -rf '.*Pulumi\\.(.+)\\.yaml\\$' '\\$1' ${stackFiles})"`;
	const value =
		long === "stack"
			? ` ${stacks}`
			: choices
				? ` -xa ${quote(choices.join(" "))}`
				: flags.includes("<")
					? " -r"
					: "";
	return `complete -c ${program} ${when}${short ? `-s ${short} ` : ""}-l ${long} -d ${quote(description)}${value}`;
}
