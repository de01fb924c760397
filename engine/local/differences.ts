import type { Difference } from "../engine.ts";
import type { Provider } from "./provider.ts";
import {
	canonical,
	containsSecret,
	type Properties,
	plain,
	printable,
	unknownValue,
	type Value,
} from "./values.ts";

/**
 * What differs between the inputs of an object and the ones that the program now declares.
 *
 * Lists in which order means nothing are compared as sets; null, undefined and false are one, as Docker has it.
 *
 * @param replaceOnChanges properties of which any change replaces the object.
 */
export function findDifferences(
	provider: Provider,
	before: Properties,
	after: Properties,
	replaceOnChanges: readonly string[],
): Difference[] {
	const differences: Difference[] = [];
	for (const property of new Set([...Object.keys(before), ...Object.keys(after)])) {
		const [old, now] = [before[property], after[property]];
		if (comparable(provider, property, old) === comparable(provider, property, now)) continue;
		const replaces = provider.effect(property) === "replace" || replaceOnChanges.includes(property);
		const hidden = containsSecret(old) || containsSecret(now);
		const show = (value: Value | undefined) =>
			hidden && value !== undefined ? "[secret]" : printable(value);
		differences.push({ property, before: show(old), after: show(now), replaces });
	}
	return differences;
}

function comparable(provider: Provider, property: string, value: Value | undefined): string {
	const bare = plain(value ?? null);
	if (bare === false || (Array.isArray(bare) && bare.length === 0)) return "null";
	if (Array.isArray(bare) && provider.unordered?.includes(property)) {
		return JSON.stringify(bare.map(canonical).sort());
	}
	return canonical(bare);
}

/** The inputs, with everything that comes from the named resources unknown: what a replacement of them would do. */
export function withUnknown(inputs: Properties, properties: readonly string[]): Properties {
	return { ...inputs, ...Object.fromEntries(properties.map((property) => [property, unknownValue])) };
}
