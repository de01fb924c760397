import { expect, test } from "@jest/globals";
import { commands, dangerLevels, globalOptions, renderVerbTable, usageOf } from "../../cli/commands.ts";
import { helpText, parse } from "../../cli/parse.ts";

test("help lists every verb of the table with its summary", () => {
	const help = helpText();
	for (const { name, summary } of commands) {
		expect(help).toMatch(new RegExp(`^ +${name}\\b`, "m"));
		expect(help.replace(/\s+/g, " ")).toContain(summary.replace(/\s+/g, " "));
	}
});

test("the help of a verb shows its arguments, its options and those of every verb", () => {
	for (const { name, arguments: args = [], options = [] } of commands) {
		const help = helpText(name);
		expect(help).toContain(`stack ${name}`);
		for (const argument of args) expect(help).toContain(argument.name);
		for (const { flags } of [...options, ...globalOptions]) expect(help).toContain(flags);
	}
});

test("the README's table has one row for each verb, with what it asks for", () => {
	const rows = renderVerbTable().split("\n").slice(2);
	expect(rows).toHaveLength(commands.length);
	for (const [index, command] of commands.entries()) {
		expect(rows[index]).toContain(`\`${usageOf(command)}\``);
		expect(rows[index]).toContain(dangerLevels[command.danger]);
	}
});

test("no verb has an option whose flag an option of every verb has too", () => {
	const flags = (options: readonly { flags: string }[]) =>
		options.flatMap((option) => option.flags.match(/(?<![\w-])--?[\w-]+/g) ?? []);
	const everywhere = new Set(flags(globalOptions));
	for (const { name, options = [] } of commands) {
		expect([name, flags(options).filter((flag) => everywhere.has(flag))]).toEqual([name, []]);
	}
});

test("every verb loads and is a function", async () => {
	for (const { name, load } of commands) expect([name, typeof (await load())]).toEqual([name, "function"]);
});

test("global options count before and after the verb, and the one after it wins", () => {
	expect(parse(["-s", "prod", "status", "--json"])?.globals).toEqual({ stack: "prod", json: true });
	expect(parse(["-s", "prod", "status", "-s", "staging"])?.globals).toEqual({ stack: "staging" });
	expect(parse(["--no-color", "status"])?.globals).toEqual({ color: false });
});

test("options after the service belong to the command inside", () => {
	expect(parse(["exec", "-T", "db", "psql", "-U", "postgres", "-s"])?.invocation).toEqual({
		arguments: ["db", "psql", "-U", "postgres", "-s"],
		options: { tty: false },
	});
	expect(parse(["exec", "db", "--", "ls", "--", "x"])?.invocation.arguments).toEqual(["db", "ls", "--", "x"]);
});

test("unknown options of a management command are passed on in their order", () => {
	const args = (line: string[]) => parse(line)?.invocation.arguments;
	expect(args(["backend-migrate", "documents", "0001", "--fake"])).toEqual(["documents", "0001", "--fake"]);
	expect(args(["backend-migrate", "--plan", "documents"])).toEqual(["--plan", "documents"]);
	expect(args(["db-shell", "-tAc", "select 1"])).toEqual(["-tAc", "select 1"]);
	expect(args(["backend-shell", "--", "-c", "1"])).toEqual(["-c", "1"]);
});

test("options that were not given are absent, so that a verb knows its own defaults", () => {
	expect(parse(["up"])?.invocation.options).toEqual({});
	expect(parse(["logs", "-f", "--tail", "5"])?.invocation.options).toEqual({ follow: true, tail: "5" });
});
