/** Which images a stack consists of: `.<stack>.images.json` beside the recovery points, written by each up. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";

const imagesSchema = z.record(z.string(), z.string());

export function imagesPath(directory: string, stack: string): string {
	return join(directory, `.${stack}.images.json`);
}

/** `name@id` by service. Empty where it is not known: a recovery point is worth having without it. */
export async function readImages(directory: string, stack: string): Promise<Record<string, string>> {
	try {
		return imagesSchema.parse(JSON.parse(await readFile(imagesPath(directory, stack), "utf8")));
	} catch {
		return {};
	}
}
