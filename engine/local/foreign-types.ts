/** What the local engine shows in a preview and leaves to Pulumi: everything at AWS. */
import type { Plan } from "../engine.ts";
import { EngineError } from "../errors.ts";

/** What to do instead. */
export function applyWithPulumi(stack: string): string {
	return `Apply this stack with Pulumi: ./docker-dev.sh -s ${stack} --engine pulumi up`;
}

/** Types that a preview shows as far as the program declares them, and that only Pulumi applies. */
export function isForPulumiAlone(type: string): boolean {
	return type.startsWith("aws:") || type === "pulumi:providers:aws";
}

/** @throws EngineError when a plan holds what the local engine cannot apply: before anything of it is begun. */
export function refuseForeignTypes(plan: Plan, stack: string): void {
	const foreign = plan.filter(({ type }) => isForPulumiAlone(type));
	if (foreign.length === 0) return;
	throw new EngineError(
		`the local engine previews what is at AWS and cannot apply it: ${foreign.length} objects of this plan, ${foreign[0]?.name} and so on. Nothing was changed. ${applyWithPulumi(stack)}. To keep nothing at AWS, set offsite: false, or offsiteEndpoint to a service that speaks S3.`,
	);
}
