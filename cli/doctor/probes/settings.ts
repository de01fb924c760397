/** The stack's settings: a wrong one stops every other command. */
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtSettings({ context }: Facts): Promise<Finding[]> {
	try {
		const { settings } = context.load();
		const { mode, removalPolicy } = settings;
		return [
			{
				verdict: "ok",
				message: `Pulumi.${context.stack}.yaml is valid: mode ${mode}, removalPolicy ${removalPolicy}`,
			},
		];
	} catch (error) {
		return [
			{
				verdict: "fail",
				message: (error as Error).message,
				fix: `correct Pulumi.${context.stack}.yaml in ${context.project}`,
			},
		];
	}
}
