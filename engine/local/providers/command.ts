import { spawn } from "node:child_process";
import { EngineError } from "../../errors.ts";
import type { Provider, ProviderContext } from "../provider.ts";
import type { Properties } from "../values.ts";

/** Lines of a failed command's output that its error shows. */
const shownLines = 30;

/** command:local:Command. `triggers` replace it; another changed input runs `update`, or `create` again. */
export const commandProvider: Provider = {
	effect: (property) => (property === "triggers" ? "replace" : "update"),
	computed: ["stdout", "stderr"],
	async create(inputs, context) {
		return {
			id: crypto.randomUUID().replaceAll("-", ""),
			outputs: await run(inputs, inputs.create, context),
		};
	},
	async update(_id, _before, after, context) {
		return await run(after, after.update ?? after.create, context);
	},
	async read(_id, outputs) {
		return { outputs };
	},
	async delete(_id, outputs, context) {
		if (outputs.delete) await run(outputs, outputs.delete, context);
	},
};

async function run(
	inputs: Properties,
	command: unknown,
	{ log, signal }: ProviderContext,
): Promise<Properties> {
	const child = spawn("/bin/sh", ["-c", String(command)], {
		env: { ...process.env, ...(inputs.environment as Record<string, string> | undefined) },
		cwd: inputs.dir as string | undefined,
		stdio: ["ignore", "pipe", "pipe"],
		signal,
		killSignal: "SIGTERM",
	});
	const output = { stdout: "", stderr: "" };
	for (const name of ["stdout", "stderr"] as const) {
		child[name].setEncoding("utf8").on("data", (text: string) => {
			output[name] += text;
			for (const line of text.trimEnd().split("\n")) log(line);
		});
	}
	const code = await new Promise<number | string>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (exitCode, exitSignal) => resolve(exitCode ?? exitSignal ?? "unknown"));
	});
	if (code !== 0) {
		const tail = `${output.stdout}${output.stderr}`.trimEnd().split("\n").slice(-shownLines).join("\n");
		throw new EngineError(`the command failed (exit ${code}):\n${tail}`);
	}
	return { ...inputs, stdout: output.stdout.trimEnd(), stderr: output.stderr.trimEnd() };
}
