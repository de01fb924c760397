#!/usr/bin/env node
// @ts-check
/**
 * The bin of `npx stack`: brings the packages up to date, then runs the operator's command line
 * (cli/main.ts, which needs Node 24) on the Node that comes with them. Plain JavaScript without
 * packages: it is what runs before there are any, on Node 20 or newer.
 *
 * Options of its own, before the verb:
 *   --no-install   stop with exit code 1 when packages would have to be installed
 *   --setup-only   install what is missing and stop
 *   --run FILE     run FILE of this project in place of the command line
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as module from "node:module";
import { constants } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const packages = join(project, "node_modules");
const lockFile = join(project, "package-lock.json");
const stamp = join(packages, ".package-lock-hash");
const neededMajor = 24;

const options = takeOptions(process.argv.slice(2));
const hash = createHash("sha256").update(fs.readFileSync(lockFile)).digest("hex");
if (!isCurrent()) await bringUpToDate();
if (!options.setupOnly) await run(resolve(project, options.file), options.rest);

/** @param {string[]} given */
function takeOptions(given) {
	const taken = { install: true, setupOnly: false, file: "cli/main.ts", rest: given };
	for (;;) {
		if (taken.rest[0] === "--no-install") {
			taken.install = false;
			// For the verb: it would install Docker.
			process.env.PERSISTENT_STACK_NO_INSTALL = "1";
		} else if (taken.rest[0] === "--setup-only") taken.setupOnly = true;
		else if (taken.rest[0] === "--run") {
			if (!taken.rest[1]) fail("--run needs the file to run, for example: --run test/run.ts", 2);
			taken.file = taken.rest[1];
			return { ...taken, rest: taken.rest.slice(2) };
		} else return taken;
		taken.rest = taken.rest.slice(1);
	}
}

function isCurrent() {
	try {
		if (fs.readFileSync(stamp, "utf8").trim() !== hash || node() === undefined) return false;
		// docker-dev.sh compares times, which a checkout changes though the content is the same.
		const isOlder = fs.statSync(stamp).mtimeMs <= fs.statSync(lockFile).mtimeMs;
		if (isOlder) fs.writeFileSync(stamp, `${hash}\n`);
		return true;
	} catch {
		return false;
	}
}

/** The Node binary of the packages: the program itself, not the link in .bin, so that signals reach it. */
function node() {
	try {
		return fs.realpathSync(join(packages, ".bin", "node"));
	} catch {
		return undefined;
	}
}

async function bringUpToDate() {
	const release = await lock();
	try {
		// Another process may have installed while this one waited, or a person with npm itself.
		if (isCurrent()) return;
		if (!installedByHand()) {
			if (!options.install) {
				fail(
					"The packages in node_modules are not those of package-lock.json; nothing was changed.\n  npm ci",
				);
			}
			installPackages();
		}
		if (node() === undefined) installNode();
		fs.writeFileSync(stamp, `${hash}\n`);
	} finally {
		release();
	}
}

/** Whether node_modules already holds every package of the lock file, by npm's own record of what is there. */
function installedByHand() {
	try {
		const wanted = JSON.parse(fs.readFileSync(lockFile, "utf8")).packages;
		const present = JSON.parse(fs.readFileSync(join(packages, ".package-lock.json"), "utf8")).packages;
		return Object.entries(wanted).every(
			([path, entry]) =>
				path === "" || (present[path] ? present[path].version === entry.version : entry.optional === true),
		);
	} catch {
		return false;
	}
}

function installPackages() {
	const started = Date.now();
	say("Installing the packages of package-lock.json (npm ci) …");
	// No install scripts: those of the Pulumi packages fetch plugins from hosts that may be out of reach,
	// and nothing here needs any but the one that installNode runs.
	npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], project);
	say(`Packages installed in ${Math.round((Date.now() - started) / 1000)} s.`);
}

/** The package `node` fetches the binary of this platform in its install script. */
function installNode() {
	const home = join(packages, "node");
	if (!options.install)
		fail(`There is no Node ${neededMajor} in node_modules; nothing was changed.\n  npm rebuild node`);
	say(`Fetching Node ${neededMajor} …`);
	const script = join(home, "installArchSpecificPackage.js");
	// `npm run` starts this program on the Node of the packages, which `npm ci` has just removed.
	const program = fs.existsSync(process.execPath) ? process.execPath : "node";
	const result = spawnSync(program, [script], {
		cwd: home,
		stdio: ["ignore", 2, 2],
		env: npmEnvironment(),
	});
	if (result.status !== 0 || !fs.existsSync(join(home, "bin", "node"))) {
		fail(
			`The package node did not deliver Node ${neededMajor}; the other packages are installed.\n  npm rebuild node`,
		);
	}
	// npm links programs that exist; this one came after it had linked.
	const link = join(packages, ".bin", "node");
	fs.rmSync(link, { force: true });
	fs.symlinkSync(join("..", "node", "bin", "node"), link);
}

/**
 * @param {string[]} args
 * @param {string} directory
 */
function npm(args, directory) {
	// stdout belongs to the result of the verb, so npm's own output goes to stderr.
	const stdio = /** @type {const} */ (["ignore", 2, 2]);
	const result = spawnSync("npm", args, { cwd: directory, stdio: [...stdio], env: npmEnvironment() });
	if (result.error)
		fail(
			`npm cannot be run (${result.error.message}); nothing was installed. Install Node 20 or newer with npm.`,
		);
	if (result.status !== 0) {
		fail(
			`npm ${args[0]} failed, see above; node_modules may be incomplete. Once the cause is mended, run the same command again.`,
		);
	}
}

/** Without the settings of an `npm run` or `npx` around this process: they would bend the npm inside. */
function npmEnvironment() {
	const kept = Object.entries(process.env).filter(
		([name]) =>
			!/^npm_(config_(global|ignore_scripts|prefix|local_prefix|omit)|lifecycle_|package_|command$)/i.test(
				name,
			),
	);
	return Object.fromEntries(kept);
}

/** One installation at a time. The lock's owner is a process id; a dead owner's lock is taken over. */
async function lock() {
	const folder = join(project, ".stack");
	const file = join(folder, "install.lock");
	fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
	for (let waited = false; ; waited = true) {
		try {
			fs.writeFileSync(file, String(process.pid), { flag: "wx" });
			const release = () => fs.rmSync(file, { force: true });
			// fail() ends the process without unwinding.
			process.once("exit", release);
			return release;
		} catch (error) {
			if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
		}
		const owner = readOwner(file);
		if (owner !== undefined && !isAlive(owner)) {
			fs.rmSync(file, { force: true });
			continue;
		}
		if (!waited) say(`Waiting for process ${owner ?? "?"}, which is installing the packages …`);
		await new Promise((done) => setTimeout(done, 200));
	}
}

/** @param {string} file */
function readOwner(file) {
	try {
		return Number.parseInt(fs.readFileSync(file, "utf8"), 10) || undefined;
	} catch {
		return undefined;
	}
}

/** @param {number} id */
function isAlive(id) {
	try {
		process.kill(id, 0);
		return true;
	} catch (error) {
		return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
	}
}

/**
 * Runs a file of this project on Node 24: here, when this is such a Node, or in its place.
 * @param {string} file
 * @param {string[]} args
 */
async function run(file, args) {
	const cache = join(packages, ".cache", "node-compile");
	if (Number.parseInt(process.versions.node, 10) >= neededMajor) {
		module.enableCompileCache(cache);
		process.argv = [process.execPath, file, ...args];
		await import(pathToFileURL(file).href);
		return;
	}
	const program = node() ?? fail(`There is no Node ${neededMajor} in node_modules.\n  npm rebuild node`);
	const env = { NODE_COMPILE_CACHE: cache, ...process.env };
	if (process.execve !== undefined) process.execve(program, [program, file, ...args], env);
	const child = spawn(program, [file, ...args], { stdio: "inherit", env });
	for (const signal of /** @type {const} */ ([
		"SIGINT",
		"SIGTERM",
		"SIGHUP",
		"SIGQUIT",
		"SIGUSR2",
		"SIGCONT",
	])) {
		process.on(signal, () => {
			// A terminal has sent its Ctrl-C to the child as well: twice would mean "at once".
			const fromTerminal = signal === "SIGINT" && process.stdin.isTTY;
			if (!fromTerminal) child.kill(signal);
		});
	}
	child.on("error", (error) => fail(`${program} cannot be run: ${error.message}`));
	child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 1)));
}

/** @param {string} text */
function say(text) {
	process.stderr.write(`${text}\n`);
}

/**
 * @param {string} text
 * @returns {never}
 */
function fail(text, exitCode = 1) {
	say(text);
	process.exit(exitCode);
}
