/**
 * Property values in the form in which Pulumi's protocol carries them: JSON, in which a wrapper marks a secret
 * and a sentinel stands for what is not known before the real run.
 */
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export type Value = null | boolean | number | string | Value[] | { [key: string]: Value };
export type Properties = { [key: string]: Value };

export function isObject(value: Value | undefined): value is Properties {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function secret(value: Value): Properties {
	return { [signatureKey]: secretSignature, value };
}

export function isSecret(value: Value | undefined): value is Properties {
	return isObject(value) && value[signatureKey] === secretSignature;
}

/** Rebuilds a value, letting `change` replace any part of it first. */
export function transform(value: Value, change: (part: Value) => Value | undefined): Value {
	const changed = change(value);
	if (changed !== undefined) return changed;
	if (Array.isArray(value)) return value.map((item) => transform(item, change));
	if (!isObject(value)) return value;
	return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, transform(item, change)]));
}

/** The value without its secret wrappers. */
export function plain(value: Value): Value {
	return transform(value, (part) => (isSecret(part) ? plain(part.value ?? null) : undefined));
}

export function plainProperties(properties: Properties): Properties {
	return plain(properties) as Properties;
}

export function containsSecret(value: Value | undefined): boolean {
	return some(value, isSecret);
}

export function containsUnknown(value: Value | undefined): boolean {
	return some(value, (part) => part === unknownValue);
}

function some(value: Value | undefined, test: (part: Value) => boolean): boolean {
	if (value === undefined) return false;
	if (test(value)) return true;
	if (Array.isArray(value)) return value.some((item) => some(item, test));
	return isObject(value) && Object.values(value).some((item) => some(item, test));
}

/** Text by which two values can be compared; the order of object keys does not count. */
export function canonical(value: Value | undefined): string {
	if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
	if (!isObject(value)) return JSON.stringify(value ?? null);
	const entries = Object.entries(value)
		.filter(([, item]) => item !== null)
		.sort(([a], [b]) => (a < b ? -1 : 1));
	return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/** A value as a preview may show it. */
export function printable(value: Value | undefined): string | undefined {
	if (value === undefined || value === null) return undefined;
	const shown = transform(value, (part) => {
		if (isSecret(part)) return "[secret]";
		return part === unknownValue ? "[unknown]" : undefined;
	});
	return typeof shown === "string" ? shown : JSON.stringify(shown);
}
