/** Which images the stack is made of: official ones, or this machine's stand-ins. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { officialImages } from "../images/official.ts";
import { RunError } from "./run-error.ts";
import type { StackSettings } from "./settings.ts";

const recordSchema = z.object({
	schemaVersion: z.literal(1),
	source: z.enum(["official", "stand-in"]),
	images: z.record(z.enum(["postgres", "redis", "nginx", "python", "node"]), z.string()),
	/** Image with the CA bundle that builds need behind a TLS-inspecting proxy. */
	caImage: z.string().optional(),
});

/** The choice made once at a stack's first up, in `<state directory>/images.json`. */
export type ImageRecord = z.infer<typeof recordSchema>;
export type BaseImages = Pick<ImageRecord, "images" | "caImage">;

/** What was recorded for a stack; undefined before its first up. */
export function readImageRecord(stackDirectory: string): ImageRecord | undefined {
	const file = join(stackDirectory, "images.json");
	if (!existsSync(file)) return undefined;
	return recordSchema.parse(JSON.parse(readFileSync(file, "utf8")));
}

/**
 * Names of the base images of a stack.
 *
 * @throws RunError when the settings want stand-ins and none have been built on this machine.
 */
export function resolveBaseImages(settings: StackSettings, record: ImageRecord | undefined): BaseImages {
	const source = settings.imageSource === "auto" ? (record?.source ?? "official") : settings.imageSource;
	if (source === "stand-in" && record?.source !== "stand-in") {
		throw new RunError(
			"imageSource = stand-in, but no stand-in images are recorded for this stack; run ./docker-dev.sh up once, which builds them",
		);
	}
	const images = source === "stand-in" && record ? record.images : officialImages;
	return {
		images: {
			postgres: settings.postgresImage || images.postgres,
			redis: settings.redisImage || images.redis,
			nginx: settings.proxyImage || images.nginx,
			python: settings.pythonImage || images.python,
			node: settings.nodeImage || images.node,
		},
		caImage: record?.caImage,
	};
}
