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
function wordsAfter(name: string): { values: readonly string[]; options: readonly string[] } {
	const command = commands.find((candidate) => candidate.name === name);
	const values = (command?.arguments ?? []).flatMap(({ completion: kind }): readonly string[] => {
		if (kind === "services") return serviceNames;
		return kind === "shells" ? shells : [];
	});
	return { values, options: flagsOf([...(command?.options ?? []), ...globalOptions]) };
}

function flagsOf(options: readonly OptionSpec[]): string[] {
	return options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? []);
}

const names = commands.map(({ name }) => name);
/** Settings files in the project directory name the stacks. */
const stackFiles = "Pulumi.*.yaml";

function bashScript(): string {
	const cases = names.map((name) => {
		const { values, options } = wordsAfter(name);
		return `\t\t${name}) words="${[...values, ...options].join(" ")}" ;;`;
	});
	return `# Completion of ${programs.join(" and ")} for bash. Load it: source <(./docker-dev.sh completion bash)
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
			verb=$word
			break
			;;
		esac
	done
	case $verb in
		"") words="${[...names, "help", ...flagsOf(globalOptions)].join(" ")}" ;;
${cases.join("\n")}
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

function zshScript(): string {
	const quote = (text: string) => `'${text.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
	const verbs = commands.map(({ name, summary }) =>
		`\t\t${quote(name)}:${quote(summary)}`.replace("':'", ":"),
	);
	const cases = names.map((name) => {
		const { values, options } = wordsAfter(name);
		return `\t\t${name}) compadd -- ${[...values, ...options].join(" ")} ;;`;
	});
	return `#compdef ${programs.join(" ")}
# Completion of ${programs.join(" and ")} for zsh. Load it: source <(./docker-dev.sh completion zsh)
_stack_complete() {
	local verb="" word skip="" previous=\${words[CURRENT-1]}
	local -a verbs stacks
	verbs=(
${verbs.join("\n")}
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
		*) verb=$word; break ;;
		esac
	done
	case $verb in
		"") _describe verb verbs; compadd -- ${flagsOf(globalOptions).join(" ")} ;;
${cases.join("\n")}
	esac
}
compdef _stack_complete ${programs.join(" ")} ./docker-dev.sh`;
}

function fishScript(): string {
	const quote = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
	const lines = programs.flatMap((program) => [
		`complete -c ${program} -f`,
		...globalOptions.map((option) => fishOption(program, "", option, quote)),
		...commands.flatMap(({ name, summary, options = [] }) => {
			const after = `-n '__fish_seen_subcommand_from ${name}'`;
			const { values } = wordsAfter(name);
			return [
				`complete -c ${program} -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`,
				...(values.length > 0 ? [`complete -c ${program} ${after} -a ${quote(values.join(" "))}`] : []),
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
