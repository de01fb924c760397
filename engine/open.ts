import { appliedBy } from "../components/engine-in-use.ts";
import type { OpenEngine } from "./engine.ts";

/** Opens the engine of a stack: the one asked for, else the one that applied it, else Pulumi where it is installed. */
export const openEngine: OpenEngine = async (context, choice) => {
	const { isPulumiInstalled, PulumiEngine } = await import("./pulumi/pulumi-engine.ts");
	const name = choice ?? appliedBy(context.directories.state) ?? (isPulumiInstalled() ? "pulumi" : "local");
	if (name === "pulumi") return new PulumiEngine(context);
	const { LocalEngine } = await import("./local/local-engine.ts");
	return new LocalEngine(context);
};
