/** The operator's command line. Started by cli/stack.mjs, which sees to the packages and to Node 24 first. */
import { CommanderError } from "commander";
import { commands } from "./commands.ts";
import { createContext, defaultStack } from "./context.ts";
import { refuseRemoteHost } from "./docker.ts";
import { exitCodes, StackError } from "./errors.ts";
import { failureOf, InterruptedError } from "./failure.ts";
import { watchSignals } from "./interrupt.ts";
import { Output } from "./output.ts";
import { helpText, parse } from "./parse.ts";

async function main(args: readonly string[]): Promise<number> {
	const asked = { json: args.includes("--json"), color: !args.includes("--no-color") };
	let output = new Output(asked);
	let stack = "";
	try {
		if (args.length === 0) {
			process.stderr.write(helpText());
			return exitCodes.usage;
		}
		const parsed = parseOrFail(args);
		if (!parsed) return exitCodes.done;
		output = new Output(parsed.globals);
		const signal = watchSignals(output);
		stack = parsed.globals.stack ?? defaultStack;
		const context = createContext(parsed.globals, output, signal);
		if (!parsed.command.remoteHost) refuseRemoteHost(parsed.command.name);
		const verb = await parsed.command.load();
		return (await verb(context, parsed.invocation)) ?? exitCodes.done;
	} catch (error) {
		output.underWay(undefined);
		const failure = failureOf(error);
		output.data(stack, { error: failure });
		if (error instanceof InterruptedError) output.progress(failure.message);
		else output.failure(failure.message, failure.fix);
		if (process.env.DEBUG || args.includes("--debug")) process.stderr.write(`${(error as Error).stack}\n`);
		return failure.exitCode;
	}
}

/** Commander's own errors, in the words and with the exit code of this program. */
function parseOrFail(args: readonly string[]) {
	try {
		return parse(args);
	} catch (error) {
		if (!(error instanceof CommanderError)) throw error;
		const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
		const verb = args.find((arg) => commands.some(({ name }) => name === arg));
		const fix = suggestion?.replace(/[()]/g, "") ?? `see ./docker-dev.sh ${verb ? `${verb} ` : ""}--help`;
		throw new StackError(message, { exitCode: exitCodes.usage, fix });
	}
}

/** A reader that has gone, such as `head`, is no failure of ours, and nobody is left to be told. */
for (const stream of [process.stdout, process.stderr]) {
	stream.on("error", (error: NodeJS.ErrnoException) => {
		if (error.code === "EPIPE") process.exit(exitCodes.done);
		throw error;
	});
}

const code = await main(process.argv.slice(2));
// What is left to a pipe is written first; open connections of an engine must not keep the program alive.
await new Promise<void>((written) => process.stdout.write("", () => written()));
process.exit(code);
