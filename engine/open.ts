import { readFileSync } from "node:fs";
import { engineRecordFile } from "../components/engine-record.ts";
import type { Engine, OpenEngine } from "./engine.ts";
import type { StackContext } from "./stack-context.ts";

/** Opens the engine of a stack: the one asked for, else the one that applied it, else Pulumi where it is installed. */
export const openEngine: OpenEngine = async (context, choice) => {
	const { isPulumiInstalled, PulumiEngine } = await import("./pulumi/pulumi-engine.ts");
	const name = choice ?? appliedBy(context) ?? (isPulumiInstalled() ? "pulumi" : "local");
	if (name === "pulumi") return new PulumiEngine(context);
	const { LocalEngine } = await import("./local/local-engine.ts");
	return new LocalEngine(context);
};

function appliedBy({ directories }: StackContext): Engine["name"] | undefined {
	try {
		const name = readFileSync(engineRecordFile(directories.state), "utf8").trim();
		return name === "local" || name === "pulumi" ? name : undefined;
	} catch {
		return undefined;
	}
}
