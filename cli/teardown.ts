/** A destroy by the stack's engine in two steps: what it would remove, and, after the answer, just that. */
import type { Engine, Plan } from "../engine/engine.ts";
import { run } from "./apply.ts";
import type { VerbContext } from "./context.ts";
import { docker } from "./docker.ts";
import { StackError } from "./errors.ts";
import { changes, volumeVerdicts } from "./plan.ts";
import type { StackVolume } from "./volumes.ts";

/**
 * The plan of a destroy, with nothing done: the approval is refused.
 *
 * @param volumes of the stack, as they are on the host.
 * @throws StackError when it would remove a volume that has one of their names and is a stranger's.
 */
export async function rehearseDestroy(
	context: VerbContext,
	engine: Engine,
	volumes: readonly StackVolume[],
): Promise<Plan> {
	let shown: Plan | undefined;
	try {
		await run(context, ({ signal }) =>
			engine.destroy({
				signal,
				approve: (plan) => {
					shown = plan;
					throw new Error("only looked at");
				},
			}),
		);
	} catch (error) {
		if (!shown) throw error;
	}
	const plan = shown ?? [];
	await refuseStrangersVolumes(context, plan, volumes);
	return plan;
}

/** An engine knows its volumes by name alone. */
async function refuseStrangersVolumes(
	{ stack, signal }: VerbContext,
	plan: Plan,
	volumes: readonly StackVolume[],
): Promise<void> {
	const listed = await docker(["volume", "ls", "--quiet"], signal);
	const names = new Set(listed.split("\n"));
	const doomed = volumeVerdicts(plan, new Set()).filter(({ operation }) => operation === "delete");
	const strangers = volumes.filter(
		({ key, name, found }) => !found && names.has(name) && doomed.some((verdict) => verdict.key === key),
	);
	if (strangers.length === 0) return;
	const them = strangers.map(({ name }) => name).join(", ");
	throw new StackError(
		`${them} would be removed, and was not made by stack ${stack}: its own volume of that name is gone; nothing was removed`,
		{ fix: `look into it, and remove it by hand if nobody needs it: docker volume rm ${them}` },
	);
}

/**
 * Destroys what was shown.
 *
 * @throws StackError, with nothing removed, when it would be anything else by now.
 */
export async function destroyAsShown(context: VerbContext, engine: Engine, shown: Plan): Promise<Plan> {
	return await run(context, (options) =>
		engine.destroy({
			...options,
			approve: (now) => {
				if (list(shown) === list(now)) return;
				throw new StackError("the stack has changed since you were asked; nothing was removed", {
					fix: "the same command again",
				});
			},
		}),
	);
}

function list(plan: Plan): string {
	return changes(plan)
		.map(({ operation, urn }) => `${operation} ${urn}`)
		.sort()
		.join("\n");
}
