import { projectName } from "../../components/settings.ts";

export const stackType = "pulumi:pulumi:Stack";

/** Pulumi's name of a resource: stack, project, types from the outermost component inwards, logical name. */
export function makeUrn(stack: string, type: string, name: string, parent?: string): string {
	const parentType = parent?.split("::")[2];
	const qualified = parentType && parentType !== stackType ? `${parentType}$${type}` : type;
	return `urn:pulumi:${stack}::${projectName}::${qualified}::${name}`;
}

/** Logical name in a URN. */
export function nameOf(urn: string): string {
	return urn.split("::").slice(3).join("::");
}
