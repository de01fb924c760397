/** What stands between a written archive and a recovery point: it is read back, and encrypted where that is wanted. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { hashFile, Meter, type StoredBytes } from "../recovery/archive-reader.ts";
import { syncFile } from "../recovery/durable-file.ts";
import type { Manifest } from "../recovery/manifest.ts";
import { verifyPoint } from "../recovery/verify.ts";
import { output, start } from "./children.ts";
import { decompressBy } from "./decompress.ts";
import { AgentError } from "./failure.ts";
import { type PartRun, writePart } from "./parts.ts";
import { readPipe } from "./pipe.ts";
import { Progress, type Report } from "./progress.ts";

/** Reads the archive back from the disk and compares it with what was made. */
export async function readBack(
	{ work, signal }: PartRun,
	file: string,
	manifest: Manifest,
	report: Report,
): Promise<StoredBytes> {
	const path = join(work, file);
	// Without this it would be read from memory, and the disk would not be asked.
	await output("dd", [`if=${path}`, "of=/dev/null", "iflag=nocache", "count=0", "status=none"], { signal });
	const size = manifest.parts.reduce((total, part) => total + part.size, 0);
	const progress = new Progress(report, "reading back", size);
	const result = await verifyPoint(work, file, {
		signal,
		decompress: decompressBy(signal),
		onProgress: (bytes) => progress.set(bytes),
	});
	const list = (parts: readonly { name: string; size: number; sha256: string }[]) =>
		JSON.stringify(parts.map(({ name, size, sha256 }) => [name, size, sha256]).sort());
	if (!result.ok || !result.stored || list(manifest.parts) !== list(result.parts)) {
		throw new AgentError(
			`what was written does not read back as it was made: ${result.problems.join("; ") || "other parts"}; it was removed`,
		);
	}
	return result.stored;
}

/** Encrypts the archive that was verified, as `<plain>.age`; the plain one goes. */
export async function encryptArchive(run: PartRun, plain: string): Promise<StoredBytes> {
	const { work, signal, config } = run;
	const source = join(work, plain);
	const target = `${source}.age`;
	const recipients = config.recipients.flatMap((recipient) => ["--recipient", recipient]);
	const { reader, writer } = await run.openPipe();
	const { exit } = start("age", ["--encrypt", ...recipients, source], {
		signal,
		stdio: ["ignore", writer.fd, "pipe"],
	});
	await writer.close();
	const meter = new Meter();
	await writePart(run, `${plain}.age`, meter.pass(readPipe(reader)));
	await exit;
	await rm(source);
	await syncFile(target);
	const made = meter.result();
	const read = await hashFile(target, { signal });
	if (read.sha256 !== made.sha256 || read.size === 0) {
		throw new AgentError("the encrypted archive does not read back as it was written; it was removed");
	}
	return read;
}
