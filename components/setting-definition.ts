/** How one setting is described, and the descriptions that several settings share. */
import * as z from "zod";

export interface SettingDefinition<T> {
	/** Type in Pulumi's own words, for the typed block of Pulumi.yaml. */
	readonly type: "string" | "integer" | "boolean" | "array";
	/** One sentence: what it decides, with its unit. */
	readonly description: string;
	/** Value where the stack file is silent. The safe one: a forgotten line must not cost data. */
	readonly default: T;
	/** What a value must be. */
	readonly schema: z.ZodType<T>;
	/** What to write instead, for the error. */
	readonly fix: string;
}

/** The values that a group of definitions parses to. */
export type ValuesOf<Definitions> = {
	readonly [K in keyof Definitions]: Definitions[K] extends SettingDefinition<infer T> ? T : never;
};

export const define = <T>(definition: SettingDefinition<T>): SettingDefinition<T> => definition;

/** A number of days; `least` is the smallest that is allowed. */
export const days = (description: string, byDefault: number, least = 0) =>
	define<number>({
		type: "integer",
		description,
		default: byDefault,
		schema: z.number().int().min(least).max(3650),
		fix: `write a whole number of days from ${least} to 3650`,
	});

/** A path that may be absolute or relative to the directory of Pulumi.yaml. */
export const path = (description: string, byDefault: string) =>
	define<string>({
		type: "string",
		description,
		default: byDefault,
		schema: z.string().refine((value) => !value.includes("\0") && value.trim() === value && value !== "/"),
		fix: "write a path, absolute or relative to the directory of Pulumi.yaml, other than /",
	});

/** A text of a certain form; where the default is empty, an empty one says that there is none. */
export const text = (description: string, byDefault: string, form: RegExp, fix: string) =>
	define<string>({ type: "string", description, default: byDefault, schema: z.string().regex(form), fix });
