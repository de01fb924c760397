/**
 * What an engine is: something that applies the program. There are two, Pulumi and the local one, and the
 * command line knows no difference.
 */
import type { StackContext } from "./stack-context.ts";

/** What a step does to one object; ordered from harmless to destructive. `forget` leaves the object in place. */
export const operations = ["same", "create", "update", "forget", "replace", "delete"] as const;
export type Operation = (typeof operations)[number];

/** One object and what happens to it. */
export interface Step {
	readonly operation: Operation;
	readonly urn: string;
	/** Pulumi's type token, such as docker:index/volume:Volume. */
	readonly type: string;
	/** Logical name of the resource. */
	readonly name: string;
	/** Properties that make the step necessary: name, and old and new value where they may be shown. */
	readonly differences: readonly Difference[];
}

export interface Difference {
	readonly property: string;
	/** Printable value; absent where there was none, `[secret]` and `[unknown]` where it cannot be shown. */
	readonly before?: string;
	readonly after?: string;
	/** Whether this property forces a replacement. */
	readonly replaces: boolean;
}

/** A whole plan, in the order of execution. `same` steps are included. */
export type Plan = readonly Step[];

/** Progress, while it happens. */
export type EngineEvent =
	| { readonly kind: "started"; readonly step: Step }
	| { readonly kind: "finished"; readonly step: Step; readonly seconds: number }
	| { readonly kind: "failed"; readonly step: Step; readonly message: string }
	| { readonly kind: "message"; readonly severity: "info" | "warning" | "error"; readonly text: string };

export interface RunOptions {
	readonly onEvent?: (event: EngineEvent) => void;
	/** Ends the run after the steps that are under way; what is done stays recorded. */
	readonly signal?: AbortSignal;
}

export interface UpOptions extends RunOptions {
	/** Looks first at what really exists, so that what was removed or stopped by hand comes back. */
	readonly refresh?: boolean;
	/** Called with the plan before anything is changed; a rejection ends the run with nothing changed. */
	readonly approve?: (plan: Plan) => Promise<void> | void;
}

export interface UpResult {
	readonly plan: Plan;
	readonly outputs: Readonly<Record<string, unknown>>;
}

export interface Engine {
	readonly name: "local" | "pulumi";
	/** Shows what an up would do; changes nothing. */
	preview(options?: UpOptions): Promise<Plan>;
	/** Applies the program. */
	up(options?: UpOptions): Promise<UpResult>;
	/** Removes what the stack made, but for what its removal policy keeps. */
	destroy(options?: UpOptions): Promise<Plan>;
}

/** Opens the engine of a stack: the one that applied it, else Pulumi where it is installed, else the local one. */
export type OpenEngine = (context: StackContext, choice?: Engine["name"]) => Promise<Engine>;
