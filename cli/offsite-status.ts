/** What `status` tells of the copies in the bucket, as the agent has written it down beside the backups. */
import { offsitePolicy } from "../components/offsite-policy.ts";
import { destinationOf, type OffsiteState, offsiteState, readOffsite } from "../recovery/offsite.ts";
import { commandLine, type VerbContext } from "./context.ts";
import { age, count, type Output } from "./output.ts";

/** Undefined where the stack keeps no copies offsite. */
export async function readOffsiteState(
	context: VerbContext,
	now = new Date(),
): Promise<OffsiteState | undefined> {
	const { directories, settings } = context.load();
	const offsite = offsitePolicy(settings);
	if (!offsite) return undefined;
	const destination = destinationOf(offsite, context.stack);
	const record = await readOffsite(directories.backups, context.stack, destination);
	return offsiteState(record, destination, context.stack, now);
}

/** `3 good copies in s3://bucket/prefix/stack`. */
export function heldText(copies: number, destination: string): string {
	return `${copies} good ${copies === 1 ? "copy" : "copies"} in ${destination}`;
}

/** Lines for a person; what is wrong is red. */
export function offsiteText(stack: string, state: OffsiteState, output: Output, now = new Date()): string[] {
	const bad = (text: string) => output.style(["red", "bold"], text);
	const { destination, copies, newest, lastPush } = state;
	const push = commandLine(stack, "backup push");
	if (!lastPush)
		return [`Offsite: ${output.style("yellow", "nothing was uploaded yet")} to ${destination}: ${push}`];
	const held = heldText(copies, destination);
	const described = newest ? `, the newest ${age(new Date(newest.createdAt), now)} old: ${newest.file}` : "";
	const lines = [`Offsite: ${held}${described}`];
	if (lastPush.outcome === "failed") {
		const when = age(new Date(lastPush.endedAt), now);
		const missing = lastPush.waiting.length;
		const what = missing > 0 ? `; ${count(missing, "backup")} not there` : "";
		lines.push(`${bad("The last upload failed")} ${when} ago${what}: ${lastPush.message ?? ""}`);
	}
	return lines;
}
