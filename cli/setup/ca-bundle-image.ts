import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import tar from "tar-fs";
import type { CaBundle } from "./ca-bundle.ts";

/** Makes the image: one file, /ca-certificates.crt, which a Dockerfile mounts and never copies. */
export async function importCaBundle(docker: Docker, bundle: CaBundle): Promise<void> {
	const directory = await mkdtemp(join(tmpdir(), "persistent-stack-"));
	try {
		const file = "ca-certificates.crt";
		await writeFile(join(directory, file), bundle.pem);
		const archive = tar.pack(directory, {
			entries: [file],
			map: (header) => Object.assign(header, { uid: 0, gid: 0, mode: 0o644, mtime: new Date(0) }),
		});
		const [repo, tag] = bundle.image.split(":");
		const stream = await docker.importImage(archive as unknown as NodeJS.ReadableStream, { repo, tag });
		await new Promise<void>((resolve, reject) => {
			docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve()));
		});
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}
