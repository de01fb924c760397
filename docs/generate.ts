/**
 * Renders what the tables of this project say into the files that repeat them: the typed block of Pulumi.yaml
 * and the README's tables. `npm run docs` writes them, and a test asserts that they are current.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { renderVerbTable } from "../cli/commands.ts";
import { volumeCatalogue } from "../components/catalogue.ts";
import { programDirectory } from "../components/directories.ts";
import { settingDefinitions } from "../components/settings.ts";

/** Each generated part: the file that holds it, its name there, and its text. */
export const generatedParts: readonly { file: string; name: string; render: () => string }[] = [
	{ file: "Pulumi.yaml", name: "config", render: renderConfigBlock },
	{ file: "README.md", name: "settings", render: renderSettings },
	{ file: "README.md", name: "volumes", render: renderVolumes },
	{ file: "README.md", name: "verbs", render: renderVerbTable },
];

/** The files with their generated parts made anew: path to text. */
export function generate(directory = programDirectory): Map<string, string> {
	const files = new Map<string, string>();
	for (const { file, name, render } of generatedParts) {
		const text = files.get(file) ?? readFileSync(join(directory, file), "utf8");
		files.set(file, replacePart(file, text, name, render()));
	}
	return files;
}

/** @throws Error when the file has no markers of that name, or more than one pair. */
export function replacePart(file: string, text: string, name: string, body: string): string {
	// In YAML the markers are comments; what stands before them on their line stays.
	const pattern = new RegExp(
		`(^.*<!-- generated:${name} -->.*$\\n)[\\s\\S]*?(^.*<!-- /generated:${name} -->)`,
		"gm",
	);
	const found = text.match(pattern)?.length ?? 0;
	if (found !== 1) {
		throw new Error(
			`${file} holds ${found} parts between <!-- generated:${name} --> and <!-- /generated:${name} -->; there must be one`,
		);
	}
	return text.replace(pattern, (_part, begin: string, end: string) => `${begin}${body.trimEnd()}\n${end}`);
}

/**
 * The typed block of Pulumi.yaml: Pulumi itself then refuses a value of the wrong type, and `pulumi config`
 * shows the defaults. Every key has a default, for Pulumi refuses a stack that lacks a typed key without one.
 */
function renderConfigBlock(): string {
	const entries = Object.entries(settingDefinitions).map(([key, setting]) => [
		key,
		{
			type: setting.type,
			...(setting.type === "array" && { items: { type: "string" } }),
			description: setting.description,
			default: setting.default,
		},
	]);
	return stringify({ config: Object.fromEntries(entries) }, { lineWidth: 0 });
}

function renderSettings(): string {
	return table(
		["setting", "default", "what it decides"],
		Object.entries(settingDefinitions).map(([key, setting]) => [
			code(key),
			setting.default === "" ? "" : code(JSON.stringify(setting.default).replace(/^"(.*)"$/, "$1")),
			setting.description.replaceAll("<", "&lt;"),
		]),
	);
}

function renderVolumes(): string {
	const backups = {
		"database-dump": "database dump",
		"redis-snapshot": "Redis snapshot",
		"file-archive": "archive of its files",
		none: "none",
	} as const;
	return table(
		[
			"volume",
			"mounted at",
			"what is in it",
			"usual size",
			"class",
			"in a backup",
			"comes back by",
			"removed by",
		],
		volumeCatalogue.map((entry) => [
			code(`<prefix>-${entry.key}`),
			`${code(entry.mountPath)} of ${code(entry.service)}`,
			entry.holds.join(", "),
			entry.typicalSize,
			entry.dataClass,
			`${backups[entry.backup]}, priority ${entry.backupPriority}`,
			"regeneratedBy" in entry ? entry.regeneratedBy : "nothing but a backup",
			["clean-all", ...("cleanedBy" in entry ? [entry.cleanedBy] : [])].map(code).join(", "),
		]),
	);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	const line = (cells: readonly string[]) =>
		`| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
	return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
	return text === "" ? "" : `\`${text}\``;
}

// The starter imports this file where it runs on Node 24 itself: then import.meta.main is false.
if (process.argv[1] === import.meta.filename) {
	for (const [file, text] of generate()) {
		writeFileSync(join(programDirectory, file), text);
		console.log(`wrote ${file}`);
	}
}
