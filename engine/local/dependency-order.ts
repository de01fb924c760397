import type { Resource } from "./state.ts";

/**
 * Resources in an order in which each comes after its parent, its provider and all that it depends on; as Pulumi
 * wants a deployment, and, backwards, the order in which they can be deleted.
 */
export function inDependencyOrder(resources: readonly Resource[]): Resource[] {
	// Two of one URN where a replaced object is still to be deleted: what needed it may still need the old one.
	const byUrn = Map.groupBy(resources, ({ urn }) => urn);
	const ordered = new Set<Resource>();
	const visiting = new Set<Resource>();
	const visit = (resource: Resource) => {
		if (ordered.has(resource) || visiting.has(resource)) return;
		visiting.add(resource);
		for (const urn of dependenciesOf(resource)) byUrn.get(urn)?.forEach(visit);
		ordered.add(resource);
	};
	resources.forEach(visit);
	return [...ordered];
}

function dependenciesOf(resource: Resource): string[] {
	return [
		...(resource.parent ? [resource.parent] : []),
		// A provider's reference is its URN and its id.
		...(resource.provider ? [resource.provider.slice(0, resource.provider.lastIndexOf("::"))] : []),
		...(resource.dependencies ?? []),
		...Object.values(resource.propertyDependencies ?? {}).flat(),
	];
}
