/** The volumes of a stack as they are on the host, and their sizes. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { type VolumeEntry, type VolumeKey, volumeCatalogue } from "../components/catalogue.ts";
import { labelKeys, ownerOf, volumeName } from "../components/identity.ts";
import { findVolumes } from "../components/own-volumes.ts";
import type { VerbContext } from "./context.ts";
import { docker, stackContainers } from "./docker.ts";

export interface StackVolume {
	readonly key: VolumeKey;
	readonly entry: VolumeEntry;
	/** Name of the volume; where there is none, the name that it will get. */
	readonly name: string;
	/** What Docker knows of it; undefined where it does not exist. */
	readonly found?: { readonly driver: string; readonly mountpoint: string };
}

/** Every volume of the catalogue, in its order, found by owner label or by an adopted name. */
export async function findStackVolumes(context: VerbContext): Promise<StackVolume[]> {
	const { identity, settings } = context.load();
	const label = (key: string) => `{{.Label "${key}"}}`;
	const format = [
		"{{.Name}}",
		label(labelKeys.owner),
		label(labelKeys.volume),
		"{{.Driver}}",
		"{{.Mountpoint}}",
	];
	const listed = await docker(["volume", "ls", "--format", format.join("\t")], context.signal);
	const volumes = listed
		.split("\n")
		.filter(Boolean)
		.map((line) => line.split("\t"))
		.map(([name = "", owner = "", key = "", driver = "", mountpoint = ""]) => ({
			name,
			owner,
			key,
			driver,
			mountpoint,
		}));
	const own = findVolumes(identity, settings.adopt, volumes);
	return volumeCatalogue.map((entry) => {
		const found = own[entry.key];
		return { key: entry.key, entry, name: found?.name ?? volumeName(identity, entry.key), found };
	});
}

/**
 * Sizes in KiB, by name, from one walk over all volumes; what could not be measured is absent.
 *
 * Directly where this user may read Docker's directory, else in one helper container with no network and the
 * single right to read every file.
 */
export async function measureVolumes(
	context: VerbContext,
	volumes: readonly StackVolume[],
): Promise<ReadonlyMap<string, number>> {
	const present = volumes.filter(({ found }) => found);
	if (present.length === 0) return new Map();
	const paths = new Map(present.map(({ name, found }) => [found?.mountpoint ?? "", name]));
	if ([...paths.keys()].every(isReadable)) {
		return readSizes(await output("du", ["-sk", "--", ...paths.keys()], context.signal), paths);
	}
	const image = await helperImage(context);
	if (!image) return new Map();
	const inside = new Map(present.map(({ name, key }) => [`/volumes/${key}`, name]));
	const text = await output("docker", helperCommand(context.stack, image, inside), context.signal);
	return readSizes(text, inside);
}

/** The helper has no right to write, and reads files of any owner. */
function helperCommand(stack: string, image: string, volumes: ReadonlyMap<string, string>): string[] {
	const mounts = [...volumes].flatMap(([path, name]) => [
		"--mount",
		`type=volume,source=${name},target=${path},readonly,volume-nocopy`,
	]);
	return [
		...["run", "--rm", "--init", "--network", "none", "--read-only", "--user", "0:0", "--cap-drop", "ALL"],
		...["--cap-add", "DAC_READ_SEARCH", "--security-opt", "no-new-privileges"],
		...["--label", `${labelKeys.owner}=${ownerOf(stack)}`, ...mounts],
		...["--entrypoint", "du", image, "-sk", ...volumes.keys()],
	];
}

/** An image that is here already and has `du`: a container's of this stack, else its PostgreSQL image. */
export async function helperImage(context: VerbContext): Promise<string | undefined> {
	const containers = await stackContainers(context.stack, context.signal);
	const [container] = containers.toSorted((a, b) => Number(b.service === "db") - Number(a.service === "db"));
	if (container) return container.imageId;
	try {
		const { readImageRecord, resolveBaseImages } = await import("../components/base-images.ts");
		const { settings, directories } = context.load();
		const { postgres } = resolveBaseImages(settings, readImageRecord(directories.state)).images;
		return (await docker(["image", "inspect", "--format", "{{.Id}}", postgres], context.signal)).trim();
	} catch {
		return undefined;
	}
}

function isReadable(directory: string): boolean {
	try {
		accessSync(directory, constants.R_OK | constants.X_OK);
		// Anyone else is stopped by directories inside, such as PostgreSQL's, and would measure too little.
		return process.getuid?.() === 0;
	} catch {
		return false;
	}
}

/** What a command printed, also where it failed in part: files vanish under a walk over live data. */
function output(command: string, args: readonly string[], signal: AbortSignal): Promise<string> {
	return new Promise((done, fail) => {
		execFile(command, args, { signal, maxBuffer: 1024 * 1024 }, (_error, stdout) => {
			if (signal.aborted) fail(signal.reason);
			else done(stdout);
		});
	});
}

function readSizes(text: string, names: ReadonlyMap<string, string>): Map<string, number> {
	const sizes = new Map<string, number>();
	for (const line of text.split("\n")) {
		const [size, path] = line.split("\t");
		const name = path && names.get(path);
		if (name && size && /^\d+$/.test(size)) sizes.set(name, Number(size));
	}
	return sizes;
}
