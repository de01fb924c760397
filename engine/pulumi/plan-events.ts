/** Pulumi's engine events as this project's steps. */
import type { EngineEvent as PulumiEvent, StepEventMetadata } from "@pulumi/pulumi/automation/index.js";
import type { Difference, Operation, Step } from "../engine.ts";

/** Pulumi's operations; those that are parts of a replacement are left out, for the replacement is named itself. */
const operationNames: Readonly<Record<string, Operation>> = {
	same: "same",
	create: "create",
	update: "update",
	replace: "replace",
	delete: "delete",
};

/** The step of an event; undefined for what is no object of its own: components, providers, the stack. */
export function stepOf(metadata: StepEventMetadata): Step | undefined {
	const state = metadata.new ?? metadata.old;
	const operation = operationNames[metadata.op];
	if (!operation || !state?.custom || metadata.type.startsWith("pulumi:")) return undefined;
	const retained = (metadata.old as { retainOnDelete?: boolean } | undefined)?.retainOnDelete;
	return {
		operation: operation === "delete" && retained ? "forget" : operation,
		urn: metadata.urn,
		type: metadata.type,
		name: metadata.urn.split("::").slice(3).join("::"),
		differences: operation === "same" ? [] : differencesOf(metadata),
	};
}

/** The step that an event ends. A replacement ends when the new object is made, not when it is announced. */
export function finishedStep(metadata: StepEventMetadata): Step | undefined {
	if (metadata.op === "replace") return undefined;
	return stepOf(metadata.op === "create-replacement" ? { ...metadata, op: "replace" } : metadata);
}

function differencesOf(metadata: StepEventMetadata): Difference[] {
	const before = metadata.old?.inputs ?? {};
	const after = metadata.new?.inputs ?? {};
	const replacing = new Set(metadata.keys ?? []);
	const changed = new Set(
		[...(metadata.diffs ?? []), ...replacing, ...Object.keys(metadata.detailedDiff ?? {})].map(topLevel),
	);
	return [...changed].map((property) => ({
		property,
		before: printable(before[property]),
		after: printable(after[property]),
		replaces: [...replacing].some((key) => topLevel(key) === property),
	}));
}

function topLevel(path: string): string {
	return path.split(/[.[]/)[0] ?? path;
}

/** Pulumi sends secrets as `[secret]` and what is not known yet as a sentinel. */
function printable(value: unknown): string | undefined {
	if (value === undefined || value === null) return undefined;
	const withoutMarks = (key: string, item: unknown) => (key === "__defaults" ? undefined : item);
	const text = typeof value === "string" ? value : JSON.stringify(value, withoutMarks);
	return text.replaceAll("04da6b54-80e4-46f7-96ec-b56ff0331ba9", "[unknown]");
}

/** Text of a diagnostic, without the marks that Pulumi's printer turns into colours. */
export function diagnosticText(event: PulumiEvent): { severity: string; text: string } | undefined {
	if (!event.diagnosticEvent || event.diagnosticEvent.ephemeral) return undefined;
	const { message, severity } = event.diagnosticEvent;
	return { severity, text: message.replace(/<\{%.*?%\}>/g, "").trim() };
}
