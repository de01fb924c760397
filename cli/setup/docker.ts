import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { exitCodes, StackError } from "../errors.ts";
import { aptCommand, aptInstall, findProgram, isDebian, isRoot } from "./apt.ts";
import { defaultHost, dockerHost } from "./docker-host.ts";
import { type DockerSituation, dockerPackages, optionalDockerPackages, planDocker } from "./docker-plan.ts";
import { ping } from "./engine-api.ts";
import { asStep, type Report } from "./report.ts";

/** How `ensureDocker` may go about it. */
export interface DockerRequest {
	/** Whether Docker may be installed and started; if not, this only looks. */
	install: boolean;
	report: Report;
}

const logFile = "/var/log/dockerd.log";
/** Seconds that a starting engine gets; a first start makes its storage and network, which takes a few. */
const startLimit = 60;

/**
 * Finds an engine that answers; installs and starts one where that is allowed and possible, and says so.
 *
 * @returns its address, as in DOCKER_HOST, and whether Docker was installed for it.
 * @throws StackError (5, or 4 where the user may not) with what is missing and the command that mends it.
 */
export async function ensureDocker({
	install,
	report,
}: DockerRequest): Promise<{ host: string; installed: boolean }> {
	const host = dockerHost();
	const failure = await ping(host).then(
		() => undefined,
		(error: NodeJS.ErrnoException) => error,
	);
	const plan = planDocker(look(host, failure, install));
	if (plan.action === "refuse") {
		const cause = failure ? ` (${failure.message})` : "";
		throw new StackError(
			`No Docker Engine answers at ${host}: ${plan.because}${cause}. Nothing was changed.`,
			{
				exitCode: plan.exitCode,
				fix: plan.fix,
			},
		);
	}
	if (plan.action === "use") return { host, installed: false };

	if (plan.action === "install") {
		report.say(`No Docker Engine was found on this machine; installing one: ${aptCommand(dockerPackages)}`);
		await aptInstall(dockerPackages, report, optionalDockerPackages);
	}
	// The package starts its service itself where services are run.
	if (plan.action === "start" || !(await answersWithin(host, 3))) await start(host, report);
	return { host, installed: plan.action === "install" };
}

function look(
	host: string,
	failure: NodeJS.ErrnoException | undefined,
	mayInstall: boolean,
): DockerSituation {
	const isDenied = failure?.code === "EACCES" || failure?.code === "EPERM";
	return {
		engine: failure === undefined ? "answers" : isDenied ? "denied" : "silent",
		isDefaultSocket: host === defaultHost || host === "unix:///run/docker.sock",
		isInstalled: findProgram("dockerd") !== undefined,
		isDebian: isDebian(),
		isRoot: isRoot(),
		hasSystemd: existsSync("/run/systemd/system"),
		mayInstall,
	};
}

async function start(host: string, report: Report): Promise<void> {
	const bySystemd = existsSync("/run/systemd/system");
	const how = bySystemd ? "systemctl start docker" : `dockerd, log in ${logFile}`;
	await asStep(report, `Starting the Docker Engine (${how})`, async () => {
		const ended = bySystemd ? startService() : startDetached();
		if (await answersWithin(host, startLimit, ended)) return;
		const reason = ended() ?? `does not answer after ${startLimit} s`;
		const log = bySystemd ? serviceLog() : lastLines(logFile);
		throw new StackError(
			[`The Docker Engine was started and ${reason}. Its last log lines:`, ...log].join("\n"),
			{
				exitCode: exitCodes.unreachable,
				fix: bySystemd ? "journalctl --unit docker --no-pager --lines 50" : `tail -n 50 ${logFile}`,
			},
		);
	});
}

/** Each start returns a function that tells why it has failed already; undefined as long as it may succeed. */
type Ended = () => string | undefined;

function startService(): Ended {
	const result = spawnSync("systemctl", ["start", "docker"], { encoding: "utf8" });
	return () => (result.status === 0 ? undefined : `systemctl ended with ${result.status}`);
}

function startDetached(): Ended {
	const log = openSync(logFile, "a");
	const program = findProgram("dockerd") ?? "dockerd";
	// A session of its own: the engine outlives this command and its terminal.
	const child = spawn(program, [], { detached: true, stdio: ["ignore", log, log] });
	closeSync(log);
	let reason: string | undefined;
	child.on("error", (error) => {
		reason = `could not be run: ${error.message}`;
	});
	child.on("exit", (code, signal) => {
		reason = `ended with ${signal ?? code}`;
	});
	child.unref();
	return () => reason;
}

async function answersWithin(
	host: string,
	seconds: number,
	ended: Ended = () => undefined,
): Promise<boolean> {
	for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline; await pause(200)) {
		if (ended() !== undefined) return false;
		const answers = await ping(host, 1000).then(
			() => true,
			() => false,
		);
		if (answers) return true;
	}
	return false;
}

function serviceLog(): string[] {
	const options = ["--unit", "docker", "--no-pager", "--lines", "15", "--output", "cat"];
	const { stdout } = spawnSync("journalctl", options, { encoding: "utf8" });
	return (stdout ?? "").trimEnd().split("\n").map(indented);
}

function lastLines(path: string): string[] {
	return readFileSync(path, "utf8").trimEnd().split("\n").slice(-15).map(indented);
}

function indented(line: string): string {
	return `    ${line}`;
}
