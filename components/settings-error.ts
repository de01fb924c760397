import { RunError } from "./run-error.ts";

/** One wrong line of a stack file. */
export interface SettingsProblem {
	readonly key: string;
	readonly value: string;
	/** What to write instead. */
	readonly fix: string;
}

/** Every wrong setting of a stack, in one error. Nothing has been touched when it is thrown. */
export class SettingsError extends RunError {
	override readonly name = "SettingsError";
	readonly problems: readonly SettingsProblem[];

	constructor(stack: string, problems: readonly SettingsProblem[]) {
		const count = problems.length === 1 ? "1 setting is" : `${problems.length} settings are`;
		const lines = problems.map(({ key, value, fix }) => `  ${key} = ${JSON.stringify(value)}: ${fix}`);
		super(`${count} wrong in Pulumi.${stack}.yaml; nothing was changed.\n${lines.join("\n")}`);
		this.problems = problems;
	}
}
