import { readFileSync } from "node:fs";

/** Text of a script in `components/scripts`, for a command resource: the preview shows what will run. */
export function script(name: string): string {
	return readFileSync(new URL(`scripts/${name}`, import.meta.url), "utf8");
}
