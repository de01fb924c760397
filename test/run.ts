/**
 * The test command: every check in order, each under a heading and with its duration, ending at the first that
 * fails. `npm test -- unit lint` runs only those named, and STACK_TEST_LONG=1 the long form of the suites that have
 * one: `npm run faults`. Its last line is `N passed, N failed`, summed over all.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { performance } from "node:perf_hooks";
import { ensureDocker } from "../cli/setup/docker.ts";
import { ensureImages } from "../cli/setup/images.ts";
import { createReport } from "../cli/setup/report.ts";

const root = join(import.meta.dirname, "..");
const binaries = join(root, "node_modules", ".bin");

interface Tally {
	passed: number;
	failed: number;
	skipped: number;
}

interface Stage {
	readonly title: string;
	readonly run: () => Promise<Tally>;
}

const stages: Readonly<Record<string, Stage>> = {
	machine: { title: "Docker and the base images", run: prepareMachine },
	types: { title: "Types", run: () => tool("tsc", "-p", ".") },
	lint: { title: "Lint and format", run: () => tool("biome", "check", ".") },
	unit: { title: "Tests of units, set-up, command line and libraries", run: () => jest(otherFolders()) },
	recovery: { title: "Recovery points, made of real databases", run: () => jest(["recovery"]) },
	integration: { title: "Integration tests on a real Docker Engine", run: () => jest(["integration"]) },
	faults: {
		title: "Restores from every kind of file, and faults at every step of them",
		run: () => jest(["faults"]),
	},
	e2e: { title: "End-to-end tests", run: () => jest(["e2e"]) },
};

process.exitCode = await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<number> {
	const unknown = names.filter((name) => !stageOf(name));
	if (unknown.length > 0) {
		const known = [...new Set([...Object.keys(stages), ...otherFolders()])].join(", ");
		console.error(`there is no stage ${unknown.join(", ")}; stages are ${known}`);
		return 2;
	}
	const total: Tally = { passed: 0, failed: 0, skipped: 0 };
	for (const name of names.length > 0 ? names : Object.keys(stages)) {
		const stage = stageOf(name) as Stage;
		console.log(`\n=== ${stage.title}`);
		const started = performance.now();
		const tally = await stage.run();
		total.passed += tally.passed;
		total.failed += tally.failed;
		total.skipped += tally.skipped;
		const seconds = ((performance.now() - started) / 1000).toFixed(1);
		console.log(`--- ${stage.title}: ${tally.failed > 0 ? "FAILED" : "ok"}, ${seconds} s`);
		if (tally.failed > 0) break;
	}
	const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
	console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
	return total.failed > 0 ? 1 : 0;
}

/** A stage, or one folder of the unit stage, such as `cli`. */
function stageOf(name: string): Stage | undefined {
	if (Object.hasOwn(stages, name)) return stages[name];
	return otherFolders().includes(name) ? { title: `Tests of ${name}`, run: () => jest([name]) } : undefined;
}

/** Folders with tests that need no stage of their own; read from the disk, so that none is forgotten. */
function otherFolders(): string[] {
	return readdirSync(join(root, "test")).filter(
		(folder) => (folder === "unit" || !(folder in stages)) && hasTests(folder),
	);
}

/** What the tests need of the machine and may find missing: an engine that answers, images to make stacks of. */
async function prepareMachine(): Promise<Tally> {
	const report = createReport();
	await ensureDocker({ install: !process.env.PERSISTENT_STACK_NO_INSTALL, report });
	const stackDirectory = mkdtempSync(join(tmpdir(), "test-images-"));
	try {
		await ensureImages({ stackDirectory, report });
	} finally {
		rmSync(stackDirectory, { recursive: true, force: true });
	}
	return { passed: 0, failed: 0, skipped: 0 };
}

/** A check that is no test: it counts only when it fails. */
async function tool(name: string, ...args: string[]): Promise<Tally> {
	const code = await start(join(binaries, name), args);
	return { passed: 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

async function jest(folders: readonly string[]): Promise<Tally> {
	if (!folders.some(hasTests)) {
		console.error(`there are no tests in ${folders.map((folder) => `test/${folder}`).join(", ")}`);
		return { passed: 0, failed: 1, skipped: 0 };
	}
	const directory = mkdtempSync(join(tmpdir(), "test-results-"));
	const report = join(directory, "report.json");
	try {
		const code = await start(
			process.execPath,
			[
				join(root, "node_modules", "jest", "bin", "jest.js"),
				...folders.map((folder) => `test/${folder}/`),
				// Two files at a time: each has its own names and ports, and most of its time is waiting.
				"--maxWorkers=2",
				"--json",
				`--outputFile=${report}`,
			],
			// Jest loads ES modules through Node's vm modules; Node itself strips the types.
			{ NODE_OPTIONS: "--experimental-vm-modules --disable-warning=ExperimentalWarning" },
		);
		return readReport(report, code);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

/** A file that cannot even be loaded, and a Jest that ends without a word, are failures too. */
function readReport(file: string, code: number): Tally {
	let report: Record<string, number>;
	try {
		report = JSON.parse(readFileSync(file, "utf8"));
	} catch {
		return { passed: 0, failed: 1, skipped: 0 };
	}
	const count = (key: string) => report[key] ?? 0;
	const failed = count("numFailedTests") + count("numRuntimeErrorTestSuites");
	return {
		passed: count("numPassedTests"),
		failed: code === 0 ? failed : Math.max(failed, 1),
		skipped: count("numPendingTests") + count("numTodoTests"),
	};
}

function hasTests(folder: string): boolean {
	try {
		return readdirSync(join(root, "test", folder), { recursive: true }).some((name) =>
			String(name).endsWith(".test.ts"),
		);
	} catch {
		return false;
	}
}

/** Runs a program in the project's directory, with this very Node first on the PATH, and gives its exit code. */
function start(file: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<number> {
	const child = spawn(file, args, {
		cwd: root,
		stdio: ["ignore", "inherit", "inherit"],
		env: { ...process.env, PATH: [binaries, process.env.PATH].join(delimiter), ...environment },
	});
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => resolve(code ?? 1));
	});
}
