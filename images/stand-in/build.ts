import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { BuildError, buildImage, type ExtraFile } from "../build.ts";
import type { ImageName } from "../official.ts";
import { baseRecipe, nodeBinary, npmRelease, recipeFolder, standInTag } from "./recipes.ts";

/** How a stand-in is built. */
export interface StandInBuild {
	/** Connection to the engine. */
	docker: Docker;
	/** Called with each line that a tool writes. @default nothing */
	onLog?: (line: string) => void;
}

/**
 * Makes the Debian base of all stand-ins with `mmdebstrap` and imports it.
 *
 * Needs `mmdebstrap` and about 100 MB in the temporary directory, which are given back.
 *
 * @returns its tag.
 * @throws BuildError with mmdebstrap's last lines; nothing is imported then.
 */
export async function buildBase(build: StandInBuild): Promise<string> {
	const tag = standInTag("base");
	await withTemporaryDirectory(async (directory) => {
		// A file, not a pipe: an archive that breaks off half way must not become an image.
		const archive = join(directory, "base.tar");
		await run(tag, "mmdebstrap", [...baseRecipe.arguments, baseRecipe.suite, archive], build.onLog);
		const [repo, version] = tag.split(":");
		const stream = await build.docker.importImage(createReadStream(archive), {
			repo,
			tag: version,
			changes: baseRecipe.changes,
		});
		await finished(build.docker, stream, tag);
	});
	return tag;
}

/**
 * Builds one stand-in on the base, which must be there.
 *
 * @returns its tag.
 * @throws BuildError with the last lines of the build's log.
 */
export async function buildStandIn(name: ImageName, build: StandInBuild): Promise<string> {
	const tag = standInTag(name);
	await withTemporaryDirectory(async (directory) => {
		const extraFiles = name === "node" ? await nodeFiles(tag, directory, build.onLog) : [];
		await buildImage({
			docker: build.docker,
			context: recipeFolder(name),
			extraFiles,
			tag,
			args: { BASE_IMAGE: standInTag("base") },
			onLog: build.onLog,
		});
	});
	return tag;
}

/** The Node binary of this project and npm's own package, which the node recipe copies in. */
async function nodeFiles(
	tag: string,
	directory: string,
	onLog?: (line: string) => void,
): Promise<ExtraFile[]> {
	const { version, integrity } = npmRelease;
	const pack = ["pack", `npm@${version}`, "--pack-destination", directory, "--silent"];
	await run(tag, "npm", pack, onLog);
	const path = join(directory, `npm-${version}.tgz`);
	const found = `sha512-${createHash("sha512")
		.update(await readFile(path))
		.digest("base64")}`;
	if (found !== integrity) {
		throw new BuildError(
			`Building the image ${tag} stopped: the package npm@${version} has the integrity ${found}, ` +
				`not the recorded ${integrity}. Nothing was built. ` +
				"Find out what your package registry delivers before you go on.",
			[],
		);
	}
	return [
		{ name: "node-binary", path: nodeBinary().path },
		{ name: "npm.tgz", path },
	];
}

/** Runs a program; its output goes to `onLog`, and into the error when it fails. */
async function run(
	tag: string,
	program: string,
	args: string[],
	onLog?: (line: string) => void,
): Promise<void> {
	const lines: string[] = [];
	const child = spawn(program, args, {
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, LC_ALL: "C.UTF-8" },
	});
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8").on("data", (text: string) => {
			for (const line of text.split(/[\r\n]+/).filter((line) => line.trim() !== "")) {
				lines.push(line);
				onLog?.(line);
			}
		});
	}
	const result = await new Promise<string>((resolve) => {
		child.on("error", (error) => resolve(error.message));
		child.on("close", (code, signal) => resolve(code === 0 ? "" : `${program} ended with ${signal ?? code}`));
	});
	if (result !== "") {
		const tail = lines.slice(-40).map((line) => `    ${line}`);
		throw new BuildError([`Building the image ${tag} failed: ${result}`, ...tail].join("\n"), lines);
	}
}

function finished(docker: Docker, stream: NodeJS.ReadableStream, tag: string): Promise<void> {
	return new Promise((resolve, reject) => {
		docker.modem.followProgress(stream, (error: Error | null) => {
			if (error) reject(new BuildError(`Importing the image ${tag} failed: ${error.message}`, []));
			else resolve();
		});
	});
}

async function withTemporaryDirectory(work: (directory: string) => Promise<void>): Promise<void> {
	const directory = await mkdtemp(join(tmpdir(), "persistent-stack-"));
	try {
		await work(directory);
	} finally {
		await rm(directory, { recursive: true, force: true });
	}
}
