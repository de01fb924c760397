import { engineGet } from "./engine-api.ts";

/** What became of asking the registry for an image, through the engine. */
export type RegistryAnswer =
	| { kind: "has-it" }
	| { kind: "lacks-it"; because: string }
	| { kind: "unreachable"; because: string };

/** Milliseconds: a registry that takes longer for a manifest would make a pull hopeless. */
const patience = 10_000;

/** Asks the registry for an image's manifest. Nothing is downloaded. */
export async function askRegistry(host: string, image: string): Promise<RegistryAnswer> {
	try {
		const { status, body } = await engineGet(
			host,
			`/distribution/${encodeURIComponent(image)}/json`,
			patience,
		);
		return classify(status, body);
	} catch (error) {
		return { kind: "unreachable", because: (error as Error).message };
	}
}

/**
 * Reads the engine's answer. Engines put most of the registry's errors under HTTP 500, so the text decides:
 * a refusal in a registry's words shows that a registry is there.
 */
export function classify(status: number, body: string): RegistryAnswer {
	if (status === 200) return { kind: "has-it" };
	const because = message(body);
	// Asked too often: there is a registry, and it has the image.
	if (status === 429 || /toomanyrequests|too many requests/i.test(because)) return { kind: "has-it" };
	const isRefusal = status === 401 || status === 403 || status === 404;
	const isRefusalInWords =
		/manifest unknown|name unknown|not found: |access to the resource is denied|unauthorized/i;
	if (isRefusal || isRefusalInWords.test(because)) return { kind: "lacks-it", because };
	return { kind: "unreachable", because };
}

function message(body: string): string {
	try {
		return (JSON.parse(body) as { message?: string }).message ?? body;
	} catch {
		return body.trim();
	}
}
