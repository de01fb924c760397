/** Refuses plans that would cost data outside a destroy. */
import { isPrecious, volumeCatalogue } from "../components/catalogue.ts";
import type { Plan, Step } from "./engine.ts";
import { DataLossError } from "./errors.ts";

/** What a plan does to the data of one volume. */
export interface DataLoss {
	readonly step: Step;
	/** Key of the volume in the catalogue. */
	readonly volume: string;
	readonly purpose: string;
}

/** The critical and important volumes that a plan deletes or replaces. */
export function findDataLoss(plan: Plan): DataLoss[] {
	return plan
		.filter(
			({ type, operation }) => type === "docker:index/volume:Volume" && /^(delete|replace)$/.test(operation),
		)
		.flatMap((step) => {
			const entry = volumeCatalogue.find(({ key }) => step.name.endsWith(`-${key}`));
			// A volume that the catalogue no longer has may be as precious as any.
			if (entry && !isPrecious(entry)) return [];
			return [
				{ step, volume: entry?.key ?? step.name, purpose: entry?.purpose ?? "no longer in the catalogue" },
			];
		});
}

/** @throws DataLossError naming each volume, when the plan would delete or replace one that is precious. */
export function refuseDataLoss(plan: Plan): void {
	const losses = findDataLoss(plan);
	if (losses.length === 0) return;
	const lines = losses.map(({ step, volume, purpose }) => {
		const because = step.differences.map(({ property }) => property).join(", ");
		return `  ${step.operation} ${volume} (${purpose})${because ? `, because of: ${because}` : ""}`;
	});
	throw new DataLossError(
		`this plan would destroy data, so nothing was changed:\n${lines.join("\n")}\nUndo the edit that causes it. To remove a stack with its data on purpose, use clean-all or destroy.`,
	);
}
