import { type ExitCode, exitCodes } from "../errors.ts";
import { aptCommand } from "./apt.ts";

/** Packages that give a Docker Engine on Debian; iptables is only recommended by it, but bridges need it. */
export const dockerPackages = ["docker.io", "iptables"];
/** From Debian 13 on the `docker` program is a package of its own. */
export const optionalDockerPackages = ["docker-cli"];

/** What was found out about Docker on this machine. */
export interface DockerSituation {
	/** How the engine took a ping. */
	engine: "answers" | "denied" | "silent";
	/** Whether the address is this machine's own default socket, the only one that can be brought to life here. */
	isDefaultSocket: boolean;
	/** Whether dockerd is installed. */
	isInstalled: boolean;
	isDebian: boolean;
	isRoot: boolean;
	/** Whether systemd runs the services. */
	hasSystemd: boolean;
	/** Whether this run may install and start things. */
	mayInstall: boolean;
}

/** What to do about it. */
export type DockerPlan =
	| { action: "use" | "start" | "install" }
	| { action: "refuse"; because: string; fix: string; exitCode: ExitCode };

type Row = [applies: (found: DockerSituation) => boolean, plan: (found: DockerSituation) => DockerPlan];

const asRoot = (found: DockerSituation, command: string) => (found.isRoot ? command : `sudo ${command}`);
const startCommand = (found: DockerSituation) =>
	asRoot(found, found.hasSystemd ? "systemctl start docker" : "dockerd >/var/log/dockerd.log 2>&1 &");
const refuse = (because: string, fix: string, exitCode: ExitCode = exitCodes.unreachable): DockerPlan => ({
	action: "refuse",
	because,
	fix,
	exitCode,
});

/** First row that applies. */
const table: Row[] = [
	[(found) => found.engine === "answers", () => ({ action: "use" })],
	[
		(found) => found.engine === "denied",
		() =>
			refuse(
				"this user may not use it",
				'sudo usermod --append --groups docker "$USER"   # then log in again',
				exitCodes.permission,
			),
	],
	[
		(found) => !found.isDefaultSocket,
		() => refuse("nothing listens at that address", "docker context ls; echo $DOCKER_HOST"),
	],
	[(found) => found.isInstalled && found.isRoot && found.mayInstall, () => ({ action: "start" })],
	[
		(found) => found.isInstalled,
		(found) => refuse("Docker is installed but not running", startCommand(found)),
	],
	[(found) => found.isDebian && found.isRoot && found.mayInstall, () => ({ action: "install" })],
	[
		(found) => found.isDebian,
		(found) => refuse("Docker is not installed", asRoot(found, aptCommand(dockerPackages))),
	],
	[
		() => true,
		() =>
			refuse(
				"Docker is not installed, and this program installs it on Debian and Ubuntu only",
				"install Docker Engine for this system: https://docs.docker.com/engine/install/",
			),
	],
];

/** Decides by the table above; a pure function of what was found. */
export function planDocker(found: DockerSituation): DockerPlan {
	for (const [applies, plan] of table) if (applies(found)) return plan(found);
	throw new Error("The last row of the table applies always.");
}
