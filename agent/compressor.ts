/** The programs that compress and decompress: from stdin to stdout, fast, on one core each. */
import type { Compression } from "../recovery/manifest.ts";

export interface Program {
	readonly command: string;
	readonly args: readonly string[];
}

export function compressor(compression: Compression): Program {
	// Level 0 of igzip is not "store"; -1 is its fast one.
	if (compression === "gzip") return { command: "igzip", args: ["-1", "--stdout"] };
	// Faster than -1; with literals compressed, which it leaves out by itself, its result is as small.
	const level = ["--fast=2", "--compress-literals"];
	return { command: "zstd", args: [...level, "--single-thread", "--quiet", "--stdout"] };
}

export function decompressor(compression: Compression): Program {
	if (compression === "gzip") return { command: "igzip", args: ["--decompress", "--stdout"] };
	return { command: "zstd", args: ["--decompress", "--quiet", "--stdout"] };
}
