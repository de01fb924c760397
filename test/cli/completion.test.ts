import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { commands } from "../../cli/commands.ts";
import { completionScript, shells } from "../../cli/verbs/completion.ts";
import { serviceNames } from "../../components/catalogue.ts";

/** What bash offers after the words; the last one is being typed. */
function complete(words: string[], directory: string): string[] {
	const script = `${completionScript("bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _stack_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
	const printed = execFileSync("bash", ["-c", script, "bash", ...words], {
		cwd: directory,
		encoding: "utf8",
	});
	return printed.split("\n").filter(Boolean);
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

test("the bash script is valid", () => {
	execFileSync("bash", ["-n"], { input: completionScript("bash") });
});

test("bash completes verbs, services, stacks and options", () => {
	withProject((directory) => {
		expect(complete(["stack", "vol"], directory)).toEqual(["volumes"]);
		expect(complete(["stack", "-s", "prod", "bac"], directory)).toContain("backend-shell");
		expect(complete(["stack", "stop", "re"], directory)).toEqual(["redis"]);
		expect(complete(["stack", "-s", ""], directory)).toEqual(["dev", "prod"]);
		expect(complete(["stack", "logs", "--fo"], directory)).toEqual(["--follow"]);
	});
});

test("bash completes sub-verbs, their options, and backups for verify", () => {
	withProject((directory) => {
		mkdirSync(join(directory, "backups"));
		const files = ["full_backup_20260101_000000.tar.gz", "db_backup_20260101_000000.sql"];
		for (const file of files) {
			writeFileSync(join(directory, "backups", file), "");
			writeFileSync(join(directory, "backups", `${file}.json`), "");
		}
		expect(complete(["stack", "backup", "ver"], directory)).toEqual(["verify"]);
		expect(complete(["stack", "-s", "dev", "backup", "prune", "--dry"], directory)).toEqual(["--dry-run"]);
		expect(complete(["stack", "backup", "verify", "ba"], directory)).toEqual(
			files.map((file) => `backups/${file}`),
		);
		expect(complete(["stack", "list"], directory)).toEqual([]);
	});
});

test("every script knows every verb and every service", () => {
	for (const shell of shells) {
		const script = completionScript(shell);
		for (const { name } of commands) expect(script).toContain(name.split(" ").at(-1));
		for (const service of serviceNames) expect(script).toContain(service);
	}
});
