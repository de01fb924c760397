/** The copies in the bucket, as the backup container sees them: it alone knows the way there. */
import type { CheckedCopy } from "../agent/offsite/check-copies.ts";
import type { PushResult } from "../agent/offsite/push.ts";
import { type AgentOutcome, findSidecar, runAgent } from "./agent.ts";
import type { VerbContext } from "./context.ts";
import { exitCodes, StackError } from "./errors.ts";

/** A copy, as the agent lists it. */
export interface ListedCopy {
	readonly file: string;
	readonly url: string;
	readonly size: number;
	readonly good: boolean;
	readonly superseded: boolean;
}

export interface CopyList {
	/** `s3://bucket/prefix/stack`. */
	readonly destination: string;
	readonly copies: readonly ListedCopy[];
}

export async function listCopies(context: VerbContext): Promise<CopyList> {
	return (await ask<CopyList>(context, ["list", "--offsite"])).value;
}

/** Reads copies from end to end; without a name the newest good full one. */
export async function verifyCopies(
	context: VerbContext,
	names: readonly string[],
	all: boolean,
): Promise<readonly CheckedCopy[]> {
	return (await ask<CheckedCopy[]>(context, ["verify", "--offsite", ...names, ...(all ? ["--all"] : [])]))
		.value;
}

export async function pushCopies(context: VerbContext): Promise<Omit<PushResult, "exitCode">> {
	return (await ask<Omit<PushResult, "exitCode">>(context, ["push"])).value;
}

/** @throws StackError where the settings have no bucket. */
async function ask<T>(context: VerbContext, args: readonly string[]): Promise<AgentOutcome<T>> {
	if (!context.load().settings.offsite) {
		throw new StackError(`stack ${context.stack} keeps no copies offsite`, {
			exitCode: exitCodes.usage,
			fix: `write offsite: true and offsiteBucket into its settings, then ${context.command("up")}`,
		});
	}
	return await runAgent<T>(context, await findSidecar(context), args);
}
