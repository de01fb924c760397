// @ts-check
/**
 * Completes package-lock.json: `node cli/setup/complete-lock.mjs [FILE]`, after any `npm install`.
 *
 * npm leaves an optional package out of the lock file when the registry that it asked does not carry that
 * version (a mirror often has this machine's platform only), and then `npm ci` refuses the file that npm
 * itself wrote, on every machine. The missing entries can be derived: version from the package that asks
 * for it, platform from its name. They carry no integrity, and on this platform are never fetched.
 *
 * Exit code 0; the file is written only when something was missing.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const systems = [
	"aix",
	"android",
	"darwin",
	"freebsd",
	"linux",
	"netbsd",
	"openbsd",
	"openharmony",
	"sunos",
	"win32",
];
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"];
/** @type {Record<string, string>} */
const libraries = { gnu: "glibc", gnueabihf: "glibc", musl: "musl", musleabihf: "musl" };

/** @typedef {Record<string, unknown> & {version?: string, optionalDependencies?: Record<string, string>}} Entry */

/**
 * The lock's optional packages that have no entry of their own, as entries by path.
 * @param {Record<string, Entry>} packages the `packages` object of a lock file
 * @returns {Record<string, Entry>}
 */
export function missingEntries(packages) {
	/** @type {Record<string, Entry>} */
	const missing = {};
	for (const [path, entry] of Object.entries(packages)) {
		for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
			if (isPresent(packages, path, name)) continue;
			missing[`node_modules/${name}`] = {
				version,
				...platform(name),
				...(entry.dev ? { dev: true } : {}),
				optional: true,
			};
		}
	}
	return missing;
}

/**
 * Whether a package finds another: beside it, or beside one of those it lies in.
 * @param {Record<string, Entry>} packages
 * @param {string} from
 * @param {string} name
 */
function isPresent(packages, from, name) {
	for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("node_modules/") - 1))) {
		if (packages[`${folder === "" ? "" : `${folder}/`}node_modules/${name}`]) return true;
		if (folder === "") return false;
	}
}

/** @param {string} name */
function platform(name) {
	const words = name.split(/[-/]/);
	const os = words.filter((word) => systems.includes(word));
	const cpu = words.filter((word) => processors.includes(word));
	const libc = os.includes("linux") ? words.flatMap((word) => libraries[word] ?? []) : [];
	if (os.length === 0)
		throw new Error(`The optional package ${name} is not in the lock file, and its name shows no platform.`);
	return { ...(cpu.length > 0 ? { cpu } : {}), ...(libc.length > 0 ? { libc } : {}), os };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const file = process.argv[2] ?? fileURLToPath(new URL("../../package-lock.json", import.meta.url));
	const text = readFileSync(file, "utf8");
	const lock = JSON.parse(text);
	const missing = missingEntries(lock.packages);
	const names = Object.keys(missing);
	if (names.length > 0) {
		lock.packages = Object.fromEntries(
			Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1)),
		);
		const indent = /^\{\n([\t ]+)/.exec(text)?.[1] ?? "\t";
		writeFileSync(file, `${JSON.stringify(lock, null, indent)}\n`);
	}
	process.stderr.write(`${file}: ${names.length} entries added\n`);
}
