// The decision alone: installing and starting are not proved here, for a test never touches this machine's
// own engine.
import { expect, test } from "@jest/globals";
import { isDebian } from "../../cli/setup/apt.ts";
import { type DockerSituation, planDocker } from "../../cli/setup/docker-plan.ts";

const bare: DockerSituation = {
	engine: "silent",
	isDefaultSocket: true,
	isInstalled: false,
	isDebian: true,
	isRoot: true,
	hasSystemd: true,
	mayInstall: true,
};
const plan = (differences: Partial<DockerSituation>) => planDocker({ ...bare, ...differences });

test.each<[string, Partial<DockerSituation>, string]>([
	[
		"an engine that answers is used, whatever else is found",
		{ engine: "answers", isInstalled: false },
		"use",
	],
	["an engine that answers elsewhere is used", { engine: "answers", isDefaultSocket: false }, "use"],
	["an installed engine is started by root", { isInstalled: true }, "start"],
	["an installed engine is started by root on any system", { isInstalled: true, isDebian: false }, "start"],
	["an engine is installed by root on Debian", {}, "install"],
])("%s", (_, differences, action) => {
	expect(plan(differences).action).toBe(action);
});

test.each<[string, Partial<DockerSituation>, number, RegExp]>([
	["a socket that refuses this user", { engine: "denied", isInstalled: true }, 4, /usermod/],
	[
		"a silent engine at another address is not this machine's to start",
		{ isDefaultSocket: false },
		5,
		/DOCKER_HOST/,
	],
	[
		"a run that may not install names the command",
		{ mayInstall: false },
		5,
		/^apt-get install .*docker\.io iptables/,
	],
	[
		"a run that may not start names the command",
		{ mayInstall: false, isInstalled: true },
		5,
		/^systemctl start docker/,
	],
	[
		"without systemd the command is dockerd",
		{ mayInstall: false, isInstalled: true, hasSystemd: false },
		5,
		/^dockerd/,
	],
	["a user who is not root gets the command with sudo", { isRoot: false }, 5, /^sudo apt-get install/],
	["a user who is not root starts with sudo", { isRoot: false, isInstalled: true }, 5, /^sudo systemctl/],
	["another system gets the instructions", { isDebian: false }, 5, /install Docker Engine/],
])("refused: %s", (_, differences, exitCode, fix) => {
	expect(plan(differences)).toMatchObject({ action: "refuse", exitCode, fix: expect.stringMatching(fix) });
});

test.each([
	['ID=debian\nVERSION_ID="12"', true],
	["NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian", true],
	['ID=linuxmint\nID_LIKE="ubuntu debian"', true],
	["ID=fedora\nNAME=notdebian", false],
	["", false],
])("os-release %j is Debian's kind: %s", (text, expected) => {
	expect(isDebian(text)).toBe(expected);
});
