import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { ImageName } from "../official.ts";

/** Name of a stand-in: the five images, and the base they are all built on. */
export type StandInName = ImageName | "base";

/** How the base is made: `mmdebstrap` with these arguments, imported with these changes. */
export const baseRecipe = {
	suite: "trixie",
	arguments: [
		"--variant=minbase",
		"--include=ca-certificates",
		'--aptopt=APT::Install-Recommends "false"',
		'--aptopt=Acquire::Languages "none"',
		// Nobody reads manuals in a container; licences stay.
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-include=/usr/share/doc/*/copyright",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
	],
	changes: [
		"ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"ENV LANG=C.UTF-8",
		'LABEL persistent-stack.stand-in="base"',
		'CMD ["bash"]',
	],
};

/** npm as it goes into the node stand-in; the integrity is the registry's, checked after the download. */
export const npmRelease = {
	version: "11.21.2",
	integrity:
		"sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A==",
};

/** Version that each stand-in's tag begins with: the major that its contract is about. */
const versions: Record<StandInName, string> = {
	base: baseRecipe.suite,
	postgres: "17",
	redis: "8",
	nginx: "1.26",
	python: "3.13",
	node: "24",
};

/** Folder of a stand-in's Dockerfile and files. The base has none. */
export function recipeFolder(name: ImageName): string {
	return join(import.meta.dirname, name);
}

/** The Node binary that the npm package `node` brings, and its version. */
export function nodeBinary(): { path: string; version: string } {
	const manifest = createRequire(import.meta.url).resolve("node/package.json");
	const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
	return { path: join(dirname(manifest), "bin", "node"), version };
}

/**
 * Full name of a stand-in: `persistent-stack/stand-in-<name>:<version>-<hash>`.
 *
 * The hash covers all that a person can change in the recipe, so an edit gives a new image beside the old
 * one. It does not cover the Debian packages, which are whatever the archive has when the image is built.
 */
export function standInTag(name: StandInName): string {
	return `persistent-stack/stand-in-${name}:${versions[name]}-${recipeHash(name).slice(0, 12)}`;
}

function recipeHash(name: StandInName): string {
	const hash = createHash("sha256");
	if (name === "base") return hash.update(JSON.stringify(baseRecipe)).digest("hex");
	hash.update(`${standInTag("base")}\n`);
	if (name === "node") hash.update(JSON.stringify([nodeBinary().version, npmRelease]));
	const folder = recipeFolder(name);
	for (const file of readdirSync(folder).sort()) {
		const path = join(folder, file);
		const executable = statSync(path).mode & 0o111 ? "x" : "-";
		const digest = createHash("sha256").update(readFileSync(path)).digest("hex");
		hash.update(`${file} ${executable} ${digest}\n`);
	}
	return hash.digest("hex");
}
