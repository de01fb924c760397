/** The programs that compress: from stdin to stdout, fast, on one core each. */
import type { Compression } from "../recovery/manifest.ts";

export function compressor(compression: Compression): { command: string; args: string[] } {
	// Level 0 of igzip is not "store"; -1 is its fast one.
	if (compression === "gzip") return { command: "igzip", args: ["-1", "--stdout"] };
	return { command: "zstd", args: ["-1", "--single-thread", "--quiet", "--stdout"] };
}
