import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { commands } from "../../cli/commands.ts";
import { completionScript, type Shell, shells } from "../../cli/verbs/completion.ts";
import { serviceNames } from "../../components/catalogue.ts";

type Completer = (words: string[], directory: string) => string[];

/** What each shell offers after the words, sorted; the last word is being typed. */
const completers: Readonly<Record<Shell, Completer>> = {
	bash: (words, cwd) => {
		const script = `${completionScript("bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stack_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
		return lines("bash", ["-c", script, "bash", ...words], cwd);
	},
	// Without a line editor: what it would have been given is printed, and chosen as it chooses.
	zsh: (words, cwd) => {
		const script = `compdef() { }
compadd() { [[ $1 = -- ]] && shift; print -l -- \${(M)@:#$typed*} }
_describe() { compadd -- \${\${(P)2}%%:*} }
_files() { print -l -- $typed*(N) }
${completionScript("zsh")}
words=("$@"); CURRENT=$#; typed=\${words[CURRENT]}; _stack_complete`;
		return lines("zsh", ["-f", "-c", script, "zsh", ...words], cwd);
	},
	fish: (words, cwd) => {
		const script = `${completionScript("fish")}\ncomplete -C '${words.join(" ")}'`;
		return lines("fish", ["--no-config", "-c", script], cwd).map((line) => line.split("\t")[0] ?? "");
	},
};

function lines(program: string, args: string[], cwd: string): string[] {
	return execFileSync(program, args, { cwd, encoding: "utf8" }).split("\n").filter(Boolean).sort();
}

const installed = shells.filter((shell) => spawnSync(shell, ["-c", "true"]).status === 0);
for (const shell of shells) {
	if (!installed.includes(shell))
		process.stderr.write(`there is no ${shell} here: its completion is not tried\n`);
}

function withProject(check: (directory: string) => void): void {
	const directory = mkdtempSync(join(tmpdir(), "completion-"));
	try {
		for (const file of ["Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml"])
			writeFileSync(join(directory, file), "");
		check(directory);
	} finally {
		rmSync(directory, { recursive: true });
	}
}

describe.each(installed.map((shell) => [shell, completers[shell]] as const))(
	"%s completes",
	(_shell, complete) => {
		test("verbs, services, stacks, shells and options", () => {
			withProject((directory) => {
				expect(complete(["stack", "vol"], directory)).toEqual(["volumes"]);
				expect(complete(["./docker-dev.sh", "clean-c"], directory)).toEqual([
					"clean-cache",
					"clean-containers",
				]);
				expect(complete(["stack", "stop", "re"], directory)).toEqual(["redis"]);
				expect(complete(["stack", "-s", ""], directory)).toEqual(["dev", "prod"]);
				expect(complete(["stack", "--engine", ""], directory)).toEqual(["local", "pulumi"]);
				expect(complete(["stack", "completion", "f"], directory)).toEqual(["fish"]);
				expect(complete(["stack", "logs", "--fo"], directory)).toEqual(["--follow"]);
				expect(complete(["stack", "clean-all", "--no-s"], directory)).toEqual(["--no-safety-backup"]);
			});
		});

		test("the same behind options that have a value", () => {
			withProject((directory) => {
				expect(complete(["stack", "-s", "prod", "backup-"], directory)).toEqual(["backup-db"]);
				expect(complete(["stack", "logs", "--tail", "5", "re"], directory)).toEqual(["redis"]);
				expect(complete(["stack", "backup", "verify", "--identity", "Pulumi.d"], directory)).toEqual([
					"Pulumi.dev.yaml",
				]);
			});
		});

		test("sub-verbs, their options, and backups for verify", () => {
			withProject((directory) => {
				mkdirSync(join(directory, "backups", "prod"), { recursive: true });
				const files = [
					"backups/db_backup_20260101_000000.sql",
					"backups/full_backup_20260101_000000.tar.gz",
					"backups/prod/full_backup_20260101_000000.tar.zst.age",
				];
				for (const file of files) {
					writeFileSync(join(directory, file), "");
					writeFileSync(join(directory, `${file}.json`), "");
				}
				expect(complete(["stack", "backup", "ver"], directory)).toEqual(["verify"]);
				expect(complete(["stack", "-s", "dev", "backup", "prune", "--dry"], directory)).toEqual([
					"--dry-run",
				]);
				expect(complete(["stack", "backup", "verify", "ba"], directory)).toEqual(files);
				expect(complete(["stack", "prun"], directory)).toEqual([]);
			});
		});

		test("where there is neither a stack nor a backup it offers none, and says nothing", () => {
			const directory = mkdtempSync(join(tmpdir(), "completion-"));
			expect(complete(["stack", "-s", ""], directory)).toEqual([]);
			expect(complete(["stack", "backup", "verify", "ba"], directory)).toEqual([]);
			rmSync(directory, { recursive: true });
		});
	},
);

test("every script knows every verb and every service", () => {
	for (const shell of shells) {
		const script = completionScript(shell);
		for (const { name } of commands) expect(script).toContain(name.split(" ").at(-1));
		for (const service of serviceNames) expect(script).toContain(service);
	}
});
