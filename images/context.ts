import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import ignoreModule from "@balena/dockerignore";
import type { Pack } from "tar-fs";
import tar from "tar-fs";

/** A file that is added to a build context from elsewhere. */
export interface ExtraFile {
	/** Name in the context, with `/` between folders. */
	name: string;
	/** Where it is read from. */
	path: string;
}

/** What goes into a build, as Docker would be told it. */
export interface ContextSource {
	/** Directory that is sent to the engine. */
	context: string;
	/** Dockerfile: relative to the context, or an absolute path, which may lie outside it.
	 * @default "Dockerfile" */
	dockerfile?: string;
	/** Files that are not in the directory. @default [] */
	extraFiles?: ExtraFile[];
}

/** A context that has been read: which paths are sent, and where its Dockerfile is. */
export interface BuildContext {
	/** Absolute path of the directory. */
	directory: string;
	/** Relative paths of files, links and directories, sorted, with `/` between folders. */
	entries: string[];
	/** Name of the Dockerfile inside the archive. */
	dockerfileName: string;
	/** What is packed beside the entries. */
	extraFiles: ExtraFile[];
}

// Its types describe an ES module; what is there is a CommonJS function.
const dockerignore = ignoreModule as unknown as typeof ignoreModule.default;

const outsideName = ".dockerfile-from-outside-the-context";

/**
 * Reads which files a build would send: the directory less what `.dockerignore` excludes
 * (`<Dockerfile>.dockerignore` beside the Dockerfile goes first, as with Docker's own client).
 *
 * @throws Error naming the directory or Dockerfile that does not exist.
 */
export async function readContext(source: ContextSource): Promise<BuildContext> {
	const directory = resolve(source.context);
	const dockerfile = resolve(directory, source.dockerfile ?? "Dockerfile");
	await mustBe(directory, "directory");
	await mustBe(dockerfile, "file");
	const extraFiles = [...(source.extraFiles ?? [])];
	for (const extra of extraFiles) await mustBe(extra.path, "file");

	const inside = relative(directory, dockerfile).split(sep).join("/");
	const isOutside = inside.startsWith("../") || isAbsolute(inside);
	const dockerfileName = isOutside ? outsideName : inside;
	if (isOutside) extraFiles.push({ name: outsideName, path: dockerfile });

	const rules = await firstReadable([`${dockerfile}.dockerignore`, join(directory, ".dockerignore")]);
	const ignore = dockerignore().add(rules);
	const exceptions = exceptionPrefixes(rules);
	// A directory may be skipped whole only when no rule brings something in it back.
	const mayPrune = (path: string) =>
		!exceptions.some((prefix) => prefix.startsWith(`${path}/`) || `${path}/`.startsWith(prefix));
	const entries: string[] = [];
	await walk("");
	return { directory, entries: entries.sort(), dockerfileName, extraFiles };

	async function walk(folder: string): Promise<boolean> {
		let found = false;
		for (const item of await readdir(join(directory, folder), { withFileTypes: true })) {
			const path = folder === "" ? item.name : `${folder}/${item.name}`;
			const ignored = path !== dockerfileName && ignore.ignores(path);
			if (item.isDirectory()) {
				if (ignored && mayPrune(path) && !dockerfileName.startsWith(`${path}/`)) continue;
				if ((await walk(path)) || !ignored) {
					entries.push(path);
					found = true;
				}
			} else if (!ignored && (item.isFile() || item.isSymbolicLink())) {
				entries.push(path);
				found = true;
			}
		}
		return found;
	}
}

/** What each rule that begins with `!` brings back, up to its first pattern character. */
function exceptionPrefixes(rules: string): string[] {
	return [...rules.matchAll(/^\s*!\s*\/?(?:\.\/)?(.*)$/gm)].map(
		([, rule = ""]) => rule.split(/[*?[\\]/)[0] ?? "",
	);
}

/**
 * The context as a tar stream. Owner is 0:0 and modes are 0755 or 0644 by the executable bit, the one
 * bit that git keeps: so the same commit gives the same image on every machine.
 */
export function packContext(context: BuildContext): Pack {
	const included = new Set(context.entries);
	return tar.pack(context.directory, {
		ignore: (path) => !included.has(relative(context.directory, path).split(sep).join("/")),
		map: (header) => {
			header.uid = 0;
			header.gid = 0;
			if (header.type !== "symlink") {
				header.mode = header.type === "directory" || (header.mode ?? 0) & 0o111 ? 0o755 : 0o644;
			}
			return header;
		},
		finalize: false,
		finish: (done) => {
			addFiles(done as Pack, context.extraFiles).catch((error: unknown) =>
				(done as Pack).destroy(error as Error),
			);
		},
	});
}

/**
 * SHA-256, in hex, over all that decides a build's result: names, executable bits, contents and link
 * targets of the context, the Dockerfile, the build arguments and the target. Times and owners do not count.
 */
export async function contextDigest(
	source: ContextSource & { args?: Record<string, string>; target?: string },
): Promise<string> {
	const context = await readContext(source);
	const hash = createHash("sha256");
	const add = (...parts: string[]) => hash.update(`${JSON.stringify(parts)}\n`);
	for (const path of context.entries) {
		const full = join(context.directory, path);
		const info = await lstat(full);
		if (info.isDirectory()) add("directory", path);
		else if (info.isSymbolicLink()) add("link", path, await readlink(full));
		else add("file", path, info.mode & 0o111 ? "x" : "-", await fileDigest(full));
	}
	for (const extra of context.extraFiles) add("extra", extra.name, await fileDigest(extra.path));
	for (const [name, value] of Object.entries(source.args ?? {}).sort()) add("arg", name, value);
	add("dockerfile", context.dockerfileName, "target", source.target ?? "");
	return hash.digest("hex");
}

/** SHA-256 of a file's content, in hex. */
export async function fileDigest(path: string): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(path), hash);
	return hash.digest("hex");
}

async function addFiles(pack: Pack, files: ExtraFile[]): Promise<void> {
	for (const file of files) {
		const info = await stat(file.path);
		const mode = info.mode & 0o111 ? 0o755 : 0o644;
		const entry = pack.entry({ name: file.name, size: info.size, mode, mtime: info.mtime, uid: 0, gid: 0 });
		await pipeline(createReadStream(file.path), entry);
	}
	pack.finalize();
}

async function firstReadable(paths: string[]): Promise<string> {
	for (const path of paths) {
		try {
			return await readFile(path, "utf8");
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		}
	}
	return "";
}

async function mustBe(path: string, kind: "directory" | "file"): Promise<void> {
	const info = await stat(path).catch(() => undefined);
	const fits = kind === "directory" ? info?.isDirectory() : info?.isFile();
	if (!fits) throw new Error(`The build needs the ${kind} ${path}, which does not exist. Nothing was built.`);
}
