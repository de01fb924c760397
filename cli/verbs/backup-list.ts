/** `stack backup list`: the recovery points, read from their index files on the host. */
import { isGood, newestGoodFull, type RecoveryPoint } from "../../recovery/points.ts";
import type { VerbContext } from "../context.ts";
import { type CopyList, listCopies } from "../offsite.ts";
import { heldText } from "../offsite-status.ts";
import { count, formatBytes, type Output, table } from "../output.ts";
import { ageOf, damageOf, ownership, pointAsJson, readPoints, verifiedWord } from "../recovery-points.ts";

export async function list(context: VerbContext): Promise<void> {
	const { output, stack } = context;
	const directory = context.load().directories.backups;
	const [points, offsite] = await Promise.all([readPoints(context), lookOffsite(context)]);
	output.data(stack, {
		directory,
		points: points.map((point) => pointAsJson(point, directory, stack)),
		...(offsite ? { offsite } : {}),
	});
	const copies = offsite && "copies" in offsite ? offsite : undefined;
	if (points.length === 0) {
		output.result(`There is no backup in ${directory}. Make one: ${context.command("backup")}`);
		if (copies) tellCopies(context, copies, points);
		return;
	}
	output.result(pointTable(points, stack, output, new Date(), copies));
	const size = formatBytes(points.reduce((total, point) => total + point.size, 0));
	const newest = newestGoodFull(points, stack, new Date());
	output.result(
		`\n${count(points.length, "backup")}, ${size}, in ${directory}. Newest good full one: ${newest?.file ?? "none"}`,
	);
	if (copies) tellCopies(context, copies, points);
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

/** Undefined where there is no bucket. That it cannot be asked now is no reason not to list what is here. */
async function lookOffsite(context: VerbContext): Promise<CopyList | { problem: string } | undefined> {
	if (!context.load().settings.offsite) return undefined;
	try {
		return await listCopies(context);
	} catch (error) {
		context.signal.throwIfAborted();
		const problem = (error as Error).message;
		context.output.warning(`offsite copies are not known: ${problem}`);
		return { problem };
	}
}

/** Where they are, and those that are nowhere else. */
function tellCopies(
	{ output, command }: VerbContext,
	list: CopyList,
	points: readonly RecoveryPoint[],
): void {
	const good = list.copies.filter((copy) => copy.good).length;
	output.result(heldText(good, list.destination));
	const alone = list.copies.filter((copy) => copy.good && !points.some(({ file }) => file === copy.file));
	for (const { file, size } of alone) output.result(`offsite only: ${file}, ${formatBytes(size)}`);
	if (alone.length > 0) output.progress(`Bring one back: ${command("restore --from offsite FILE")}`);
}

/** `yes` for a good copy; one that cannot be relied on is not called one. */
function offsiteWord(list: CopyList, file: string, output: Output): string {
	const copy = list.copies.find((one) => one.file === file);
	if (!copy) return "-";
	return copy.good ? output.style("green", "yes") : output.style(["red", "bold"], "NOT GOOD");
}

/** One line for each, oldest first, as they were made; whether a copy is offsite, where that is known. */
export function pointTable(
	points: readonly RecoveryPoint[],
	stack: string,
	output: Output,
	now = new Date(),
	copies?: CopyList,
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
			...(copies ? [offsiteWord(copies, point.file, output)] : []),
		];
	});
	return table(["file", "class", "age", "size", "verified", "stack", ...(copies ? ["offsite"] : [])], rows);
}
