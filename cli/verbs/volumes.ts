/** `stack volumes`: names, sizes and contents of the volumes, in the three sections of the specification. */
import type { Invocation, VerbContext } from "../context.ts";
import { formatSize, type Output } from "../output.ts";
import { findStackVolumes, measureVolumes, type StackVolume } from "../volumes.ts";

export async function volumes(context: VerbContext, { options }: Invocation): Promise<void> {
	const { output } = context;
	const found = await findStackVolumes(context);
	// The names are there at once; the sizes follow when they are measured.
	output.result(listing(found, output));
	const sizes = options.size === false ? undefined : await measure(context, found);
	if (sizes) output.result(sizeSection(found, sizes, output));
	output.result(detailSection(found, output));
	const missing = found.filter((volume) => !volume.found);
	if (missing.length > 0) {
		const all = missing.length === found.length;
		output.warning(
			all
				? `stack ${context.stack} has no volumes on this host; ${context.command("up")} makes them`
				: `missing: ${missing.map(({ name }) => name).join(", ")}`,
		);
	}
	output.data(context.stack, { volumes: found.map((volume) => asJson(volume, sizes)) });
}

/** First section: name, driver and mountpoint. */
export function listing(volumes: readonly StackVolume[], output: Output): string {
	const rows = volumes.map(({ name, found }) =>
		found ? [name, found.driver, found.mountpoint] : [name, "-", "missing"],
	);
	return [
		`${output.style("bold", "=== Volume information and disk usage ===")}\n`,
		heading("Persistent volumes", output),
		columns([["VOLUME NAME", "DRIVER", "MOUNTPOINT"], ...rows]),
		"",
	].join("\n");
}

/** Second section: sizes. What could not be measured is unknown, never zero. */
export function sizeSection(
	volumes: readonly StackVolume[],
	sizes: ReadonlyMap<string, number>,
	output: Output,
): string {
	const lines = volumes.map(({ name, found }) => {
		const size = sizes.get(name);
		return `  ${name}: ${found ? (size === undefined ? "unknown" : formatSize(size)) : "missing"}`;
	});
	return [heading("Volume sizes", output), ...lines, ""].join("\n");
}

/** Third section: what is in them. */
export function detailSection(volumes: readonly StackVolume[], output: Output): string {
	const width = Math.max(...volumes.map(({ name }) => name.length));
	const lines = volumes.map(
		({ name, entry }) => `  ${entry.symbol} ${name.padEnd(width)} - ${entry.summary}`,
	);
	return [heading("Volume details", output), ...lines].join("\n");
}

async function measure(context: VerbContext, found: readonly StackVolume[]) {
	context.output.underWay(() => "… measuring");
	try {
		return await measureVolumes(context, found);
	} finally {
		context.output.underWay(undefined);
	}
}

function heading(title: string, output: Output): string {
	return `${output.style("blue", "INFO:")} ${title}:`;
}

function columns(rows: readonly (readonly string[])[]): string {
	const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
	return rows
		.map((row) =>
			row
				.map((cell, column) => cell.padEnd((widths[column] ?? 0) + 4))
				.join("")
				.trimEnd(),
		)
		.join("\n");
}

function asJson({ key, name, entry, found }: StackVolume, sizes: ReadonlyMap<string, number> | undefined) {
	const size = sizes?.get(name);
	return {
		key,
		name,
		present: found !== undefined,
		driver: found?.driver ?? null,
		mountpoint: found?.mountpoint ?? null,
		sizeBytes: size === undefined ? null : size * 1024,
		class: entry.dataClass,
		summary: entry.summary,
	};
}
