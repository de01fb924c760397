import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { StackError } from "../errors.ts";
import { asStep, type Report } from "./report.ts";

/** Whether programs can be installed here: Debian or a descendant, as its superuser. */
export function canUseApt(): boolean {
	return isDebian() && isRoot() && findProgram("apt-get") !== undefined;
}

/** Debian, Ubuntu, or what says that it is like them. */
export function isDebian(osRelease = readOsRelease()): boolean {
	return /^(ID|ID_LIKE)="?([a-z ]*\b)?(debian|ubuntu)\b/m.test(osRelease);
}

export function isRoot(): boolean {
	return process.getuid?.() === 0;
}

/** Absolute path of a program on PATH or among the superuser's; undefined when there is none. */
export function findProgram(name: string): string | undefined {
	const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
	return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The command that installs packages, as a person would type it. */
export function aptCommand(packages: readonly string[]): string {
	return `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
}

/**
 * Installs Debian packages; the package lists are fetched first where they do not know the packages, or
 * where they turn out to be stale.
 *
 * @param optional packages that are added where the system's release has them.
 * @throws StackError with apt's last lines. What apt had installed by then stays.
 */
export async function aptInstall(
	packages: readonly string[],
	report: Report,
	optional: readonly string[] = [],
): Promise<void> {
	let updated = false;
	const update = async () => {
		await asStep(report, "Fetching the package lists (apt-get update)", (detail) =>
			runApt(["update"], detail),
		);
		updated = true;
	};
	const isKnown = (name: string) =>
		run("apt-cache", ["show", name], () => {}).then((result) => result.code === 0);
	for (const name of packages) if (!updated && !(await isKnown(name))) await update();
	const wanted = [...packages];
	for (const name of optional) if (await isKnown(name)) wanted.push(name);

	const install = () =>
		asStep(report, aptCommand(wanted), (detail) =>
			runApt(["install", "-y", "--no-install-recommends", ...wanted], detail),
		);
	try {
		await install();
	} catch (error) {
		// Lists from last month name versions that the archive no longer has.
		if (updated) throw error;
		await update();
		await install();
	}
}

async function runApt(args: string[], detail: (line: string) => void): Promise<void> {
	const { code, lines } = await run("apt-get", args, detail);
	if (code === 0) return;
	const tail = lines.slice(-15).map((line) => `    ${line}`);
	throw new StackError([`apt-get ${args[0]} ended with ${code}:`, ...tail].join("\n"), {
		fix: `apt-get update && apt-get ${args.join(" ")}`,
	});
}

function run(
	program: string,
	args: string[],
	onLine: (line: string) => void,
): Promise<{ code: number; lines: string[] }> {
	return new Promise((resolve) => {
		const lines: string[] = [];
		const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
		const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env });
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8").on("data", (text: string) => {
				for (const line of text.split(/[\r\n]+/).filter((line) => line.trim() !== "")) {
					lines.push(line);
					onLine(line);
				}
			});
		}
		child.on("error", (error) => resolve({ code: 127, lines: [error.message] }));
		child.on("close", (code) => resolve({ code: code ?? 1, lines }));
	});
}

function readOsRelease(): string {
	try {
		return readFileSync("/etc/os-release", "utf8");
	} catch {
		return "";
	}
}

function isExecutable(path: string): boolean {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
