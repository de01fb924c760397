import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { programDirectory } from "../../components/directories.ts";
import { encryptedKeysVariable } from "../../components/encrypted-keys.ts";
import { engineVariable } from "../../components/engine-in-use.ts";
import { projectName } from "../../components/settings.ts";
import type { StackContext } from "../stack-context.ts";

export interface ProgramRun {
	readonly context: StackContext;
	/** Config values that the stack file holds encrypted. */
	readonly secrets: Readonly<Record<string, string>>;
	/** `host:port` of the monitor. */
	readonly address: string;
	/** Whether the program is to learn that this is a preview. */
	readonly dryRun: boolean;
	/** Lines that the program prints. */
	readonly onLine: (line: string) => void;
}

/** A program that runs. */
export interface RunningProgram {
	/** Its exit code. */
	readonly ended: Promise<number>;
	kill(): void;
}

/** Registrations that the program may have under way at once; Docker and two cores are the real limit. */
const parallel = 16;

/** Starts the program exactly as Pulumi's own Node.js language host does. */
export function startProgram({ context, secrets, address, dryRun, onLine }: ProgramRun): RunningProgram {
	const runner = createRequire(import.meta.url).resolve("@pulumi/pulumi/cmd/run");
	const options = {
		monitor: address,
		engine: address,
		project: projectName,
		stack: context.identity.stack,
		organization: "organization",
		"root-directory": context.project,
		parallel: String(parallel),
		pwd: programDirectory,
	};
	const child = spawn(
		process.execPath,
		[
			runner,
			...Object.entries(options).map(([name, value]) => `--${name}=${value}`),
			...(dryRun ? ["--dry-run"] : []),
			programDirectory,
		],
		{
			cwd: programDirectory,
			env: {
				...process.env,
				PULUMI_CONFIG: JSON.stringify({ ...context.config, ...secrets }),
				[encryptedKeysVariable]: JSON.stringify(Object.keys(secrets)),
				PULUMI_NODEJS_TYPESCRIPT: "false",
				NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} ${withoutStackTraces()}`.trim(),
				[engineVariable]: "local",
			},
			stdio: ["ignore", "pipe", "pipe"],
			// Ctrl-C reaches the whole process group; the engine ends the program itself, when its steps are done.
			detached: true,
		},
	);
	for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);
	return {
		ended: new Promise((resolve, reject) => {
			child.once("error", reject);
			child.once("close", (code) => resolve(code ?? 1));
		}),
		kill: () => child.kill("SIGKILL"),
	};
}

/**
 * The SDK notes a stack trace, mapped to its sources, for every resource: a quarter of the program's time,
 * measured. What the program reports to an operator are messages.
 */
function withoutStackTraces(): string {
	return process.env.DEBUG ? "" : "--stack-trace-limit=0";
}
