/** `stack backup list`: the recovery points, read from their index files on the host. */
import { isGood, newestGoodFull, type RecoveryPoint } from "../../recovery/points.ts";
import type { VerbContext } from "../context.ts";
import { count, formatBytes, type Output, table } from "../output.ts";
import { ageOf, damageOf, ownership, pointAsJson, readPoints, verifiedWord } from "../recovery-points.ts";

export async function list(context: VerbContext): Promise<void> {
	const { output, stack } = context;
	const directory = context.load().directories.backups;
	const points = await readPoints(context);
	output.data(stack, { directory, points: points.map((point) => pointAsJson(point, directory, stack)) });
	if (points.length === 0) {
		output.result(`There is no backup in ${directory}. Make one: ${context.command("backup")}`);
		return;
	}
	output.result(pointTable(points, stack, output));
	const size = formatBytes(points.reduce((total, point) => total + point.size, 0));
	const newest = newestGoodFull(points, stack, new Date());
	output.result(
		`\n${count(points.length, "backup")}, ${size}, in ${directory}. Newest good full one: ${newest?.file ?? "none"}`,
	);
	if (points.some((point) => ownership(point, stack) === "unknown")) {
		output.progress(
			`old script: it has no index, so whose it is and whether it is good are not known, and it is never deleted. Read it through: ${context.command("backup verify FILE")}`,
		);
	}
	for (const point of points) {
		const damage = damageOf(point);
		if (damage) output.warning(`${point.file}: ${damage}`);
	}
}

/** One line for each, oldest first, as they were made. */
export function pointTable(
	points: readonly RecoveryPoint[],
	stack: string,
	output: Output,
	now = new Date(),
): string {
	const rows = points.map((point) => {
		const owner = ownership(point, stack);
		const word = verifiedWord(point);
		const color = word === "DAMAGED" ? (["red", "bold"] as const) : isGood(point) ? "green" : "yellow";
		return [
			point.file,
			point.class ?? "old script",
			ageOf(point, now),
			formatBytes(point.size),
			output.style(typeof color === "string" ? color : [...color], word),
			owner === "other" ? `${point.stack} (another stack)` : (point.stack ?? "unknown"),
		];
	});
	return table(["file", "class", "age", "size", "verified", "stack"], rows);
}
