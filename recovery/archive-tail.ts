/**
 * The end of an archive by itself. The database stands last; with an archive's first bytes put before it, it is an
 * archive too, so a restore can begin to load it while the files before it are still being unpacked.
 */
import { createReadStream } from "node:fs";
import * as z from "zod";
import type { Compression } from "./manifest.ts";

export const archiveTailSchema = z.object({
	/** Byte of the stored file at which the tail begins. */
	offset: z.number().int().min(1),
	/** Of its content, for gzip, whose end tells it. */
	crc32: z.number().int().min(0).optional(),
	length: z.number().int().min(0).optional(),
});

export type ArchiveTail = z.infer<typeof archiveTailSchema>;

/** How an archive begins. */
export const heads: Readonly<Record<Compression, Buffer>> = {
	// Deflate, no name, no time: the manifest has the times. System 3: Unix.
	gzip: Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
	// A frame with a window of 128 KiB, no content size, no checksum: the manifest has better ones.
	zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 7 << 3]),
};

export const gzipTrailerLength = 8;

/** How a gzip member ends. */
export function gzipTrailer(crc32: number, length: number): Buffer {
	const trailer = Buffer.alloc(gzipTrailerLength);
	trailer.writeUInt32LE(crc32, 0);
	trailer.writeUInt32LE(length % 2 ** 32, 4);
	return trailer;
}

/**
 * The tail of an archive of `size` bytes, as the stored bytes of an archive that holds nothing else.
 *
 * @param signal ends the reading.
 */
export async function* readTail(
	{ path, size, compression }: { path: string; size: number; compression: Compression },
	{ offset, crc32, length }: ArchiveTail,
	signal: AbortSignal,
): AsyncGenerator<Buffer> {
	const isGzip = compression === "gzip";
	yield heads[compression];
	const end = size - 1 - (isGzip ? gzipTrailerLength : 0);
	yield* createReadStream(path, { start: offset, end, signal }) as AsyncIterable<Buffer>;
	if (isGzip) yield gzipTrailer(crc32 ?? 0, length ?? 0);
}
