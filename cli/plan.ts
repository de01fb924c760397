/** How a plan is told to a person: names, differences, and what becomes of each volume. */
import { type VolumeKey, volumeCatalogue, volumeEntry } from "../components/catalogue.ts";
import type { Difference, Operation, Plan, Step } from "../engine/engine.ts";
import { cut } from "./output.ts";

/** What an operation is called before and after it is done, and its mark in a plan. */
export const operationWords: Readonly<Record<Operation, { mark: string; plan: string; done: string }>> = {
	same: { mark: "=", plan: "keep", done: "unchanged" },
	create: { mark: "+", plan: "create", done: "created" },
	update: { mark: "~", plan: "update", done: "updated" },
	forget: { mark: "-", plan: "let go", done: "let go" },
	replace: { mark: "±", plan: "replace", done: "replaced" },
	delete: { mark: "-", plan: "delete", done: "deleted" },
};

/** Kinds of objects by the last part of Pulumi's type, where that is not the word. */
const kinds: Readonly<Record<string, string>> = {
	RemoteImage: "image",
	RandomPassword: "secret",
	Command: "action",
};

/** Actions by logical name: what the program runs on the host. */
const actions: Readonly<Record<string, string>> = {
	"engine-record-write": "record of the engine",
	"backup-images": "record of the images",
	"host-make": "host directories",
	"migrations-run": "database migrations",
	"destroy-guard-check": "guard against a destroy",
	"smoke-run": "smoke check through the proxy",
};

const volumeType = "docker:index/volume:Volume";

/** The steps that change something real. Components and providers exist in the state alone. */
export function changes(plan: Plan): Step[] {
	return objects(plan).filter(({ operation }) => operation !== "same");
}

/** The steps about real objects. */
export function objects(plan: Plan): Step[] {
	return plan.filter(({ type }) => !/^(pulumi|persistent-stack):/.test(type));
}

/** Kind and name of a step's object, as Docker or the operator calls it. */
export function describe(step: Step, prefix: string): { kind: string; name: string } {
	const last = step.type.split(":").at(-1) ?? step.type;
	const isAtAws = step.type.startsWith("aws:");
	const kind = isAtAws ? "aws" : (kinds[last] ?? last.replace(/^./, (letter) => letter.toLowerCase()));
	const logical = step.name.replace(/^stack-/, "");
	if (kind === "action") return { kind, name: actions[logical] ?? logical };
	const short = logical.replace(/^(volumes|networks|images|secrets)-/, "").replace(/-container$/, "");
	const isNamed = kind === "container" || kind === "volume" || kind === "network";
	return { kind, name: isNamed ? `${prefix}-${short}` : short };
}

/**
 * Whether a plan runs migrations: by itself, or by another image of the backend, whose code may expect them or
 * run its own.
 */
export function migrates(plan: Plan): boolean {
	return changes(plan).some(({ operation, name, differences }) => {
		if (operation === "delete" || operation === "forget") return false;
		if (name === "stack-migrations-run") return true;
		return name === "stack-backend-container" && differences.some(({ property }) => property === "image");
	});
}

/** Whether a step makes what is missing, or starts what is stopped; anything else is a change. */
export function bringsBack({ operation, differences }: Step): boolean {
	if (operation === "create") return true;
	return operation === "update" && differences.every(({ property }) => property === "mustRun");
}

/** What was done, in one word. */
export function doneWord({ operation }: Step, kind: string): string {
	if (kind === "action" && operation !== "delete" && operation !== "same") return "ran";
	if (kind === "image" && operation === "create") return "ready";
	return operationWords[operation].done;
}

export interface VolumeVerdict {
	readonly key: VolumeKey;
	readonly dataClass: string;
	readonly operation: Operation | "absent";
	/** Whether content is lost that does not come back by itself. */
	readonly loses: boolean;
	readonly verdict: string;
}

/**
 * What a plan means for the content of each volume of the catalogue.
 *
 * @param existing keys of the volumes that exist, whatever the state says: a create takes them over.
 */
export function volumeVerdicts(plan: Plan, existing: ReadonlySet<string>): VolumeVerdict[] {
	return volumeCatalogue.map(({ key }) => {
		const { dataClass } = volumeEntry(key);
		const step = plan.find(({ type, name }) => type === volumeType && name.endsWith(`-${key}`));
		const operation = step?.operation ?? "absent";
		const removed = operation === "delete" || operation === "replace";
		const precious = dataClass === "critical" || dataClass === "important";
		const gone = precious
			? "DATA IS LOST"
			: `emptied${dataClass === "regenerable" ? "; is regenerated at the next start" : ""}`;
		const verdict = {
			absent: existing.has(key) ? "kept: not part of this plan" : "does not exist",
			same: "kept",
			update: "kept",
			create: existing.has(key) ? "kept: taken over with its data" : "made, empty",
			forget: "kept: stays on this host, no longer managed",
			delete: gone,
			replace: gone,
		}[operation];
		return { key, dataClass, operation, loses: removed && precious, verdict };
	});
}

/** Lines that show a changed property. Structured values show only the parts that differ. */
export function differenceLines(
	difference: Difference,
	{ full, width }: { full: boolean; width: number },
): string[] {
	const { property, replaces } = difference;
	const [before, after] = [known(difference.before), known(difference.after)];
	const title = `${property}${replaces ? " (replaces)" : ""}:`;
	if (before === after) return [`${title} ${after} changed`];
	const [old, now] = [elements(before), elements(after)];
	const short = Math.max(before?.length ?? 0, after?.length ?? 0) <= 60;
	if (old.length <= 1 && now.length <= 1 && (short || !full)) {
		const half = Math.max(20, Math.floor((width - title.length - 4) / 2));
		return [`${title} ${cut(before ?? "(none)", half)} → ${cut(after ?? "(none)", half)}`];
	}
	const removed = without(old, now).map((line) => `- ${line}`);
	const added = without(now, old).map((line) => `+ ${line}`);
	const lines = [...removed, ...added];
	if (full) return [title, ...lines.map((line) => `  ${line}`)];
	const shown = lines.slice(0, 6).map((line) => `  ${cut(line, width - 4)}`);
	return [
		title,
		...shown,
		...(lines.length > 6 ? [`  … ${lines.length - 6} more lines; --diff shows them`] : []),
	];
}

/** The comparable parts of a printable value: items of a list, fields of an object, lines of a text. */
function elements(value: string | undefined): string[] {
	if (value === undefined) return [];
	const parsed = parseJson(value);
	const parts = Array.isArray(parsed)
		? parsed.map(elementText)
		: typeof parsed === "object" && parsed !== null
			? Object.entries(parsed).map(([key, item]) => `${key}: ${elementText(item)}`)
			: [value];
	return parts.flatMap((part) => part.split("\n"));
}

/** Labels are `name=value`, as everywhere else; other objects are JSON. */
function elementText(item: unknown): string {
	if (typeof item === "string") return item;
	const { label, value } = (item ?? {}) as { label?: unknown; value?: unknown };
	return typeof label === "string" ? `${label}=${String(value)}` : JSON.stringify(item);
}

function without(lines: readonly string[], others: readonly string[]): string[] {
	const left = new Map<string, number>();
	for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
	return lines.filter((line) => {
		const count = left.get(line) ?? 0;
		left.set(line, count - 1);
		return count <= 0;
	});
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** The engines' word for a value that only the real run gives. */
function known(value: string | undefined): string | undefined {
	return value?.replaceAll("[unknown]", "(known when applied)");
}
