/** What the local engine needs to know of one resource type. */
import type { Properties } from "./values.ts";

/** An object that exists. */
export interface Created {
	readonly id: string;
	readonly outputs: Properties;
}

/** What a provider is told of the run that it works in. */
export interface ProviderContext {
	/** Whether an earlier run was killed while it created this object: what is found is then our own. */
	readonly interrupted: boolean;
	readonly signal: AbortSignal | undefined;
	readonly log: (text: string) => void;
	/** Records an object that exists although its creation may still fail. */
	readonly onExists: (created: Created) => void;
}

/** How a changed input is brought about: in place, or by a new object. */
export type ChangeEffect = "update" | "replace";

export interface Provider {
	/** Inputs that are computed from others or from files, such as the digest of a build context. */
	check?(inputs: Properties): Promise<Properties> | Properties;
	/** Effect of a change of this top-level input. */
	effect(property: string): ChangeEffect;
	/** Inputs that are lists in which the order means nothing. */
	readonly unordered?: readonly string[];
	/** Outputs that are not known before the object exists or is updated. */
	readonly computed?: readonly string[];
	/** Whether a new object can exist beside the old one; where not, the old one goes first. */
	readonly deleteBeforeReplace?: (before: Properties, after: Properties) => boolean;
	create(inputs: Properties, context: ProviderContext): Promise<Created>;
	update?(id: string, before: Properties, after: Properties, context: ProviderContext): Promise<Properties>;
	/** The object as it is; undefined when it is gone. `drift` holds inputs that really differ. */
	read(id: string, outputs: Properties): Promise<{ outputs: Properties; drift?: Properties } | undefined>;
	delete(id: string, outputs: Properties, context: ProviderContext): Promise<void>;
}
