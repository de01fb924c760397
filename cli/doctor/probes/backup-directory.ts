/** The backup directory: there, closed to others, open to the backup container. */
import { type Stats, statSync } from "node:fs";
import { mountPoint, replacedSince } from "../../agent.ts";
import { recognised } from "../cases.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtBackupDirectory(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const { backups: directory } = context.load().directories;
	const found = statSync(directory, { throwIfNoEntry: false });
	if (!found) return [await missing(facts, directory)];
	if (!found.isDirectory()) {
		return [
			{
				verdict: "fail",
				message: `${directory} is not a directory; no backup can be made`,
				fix: `mv ${directory} ${directory}.aside && mkdir -m 700 ${directory} && ${context.command("restart backup")}`,
			},
		];
	}
	const findings = [...permissions(directory, found), ...(await mounted(facts, directory))];
	if (findings.length > 0) return findings;
	return [{ verdict: "ok", message: `${directory} is its owner's alone, mode ${modeOf(found)}` }];
}

async function missing(facts: Facts, directory: string): Promise<Finding> {
	const { context } = facts;
	if (!(await isUsed(facts))) return { verdict: "ok", message: `${directory} is made by the first up` };
	return recognised(context, "backup-directory-missing", directory, { object: directory });
}

/** Whether a backup container was made that has it mounted. Without Docker: whether the stack was applied. */
async function isUsed(facts: Facts): Promise<boolean> {
	if (facts.appliedBy) return true;
	if (await facts.lacks("docker")) return false;
	return (await facts.containers()).some(({ service }) => service === "backup");
}

/** Archives hold everything that the application knows, and the passwords of roles. */
function permissions(directory: string, found: Stats): Finding[] {
	const mode = found.mode & 0o777;
	if ((mode & 0o700) !== 0o700) {
		return [
			{
				verdict: "fail",
				message: `${directory} has mode ${modeOf(found)}: its owner cannot write to it, and no backup can be made`,
				fix: `chmod 700 ${directory}`,
			},
		];
	}
	if ((mode & 0o077) === 0) return [];
	return [
		{
			verdict: "warn",
			message: `${directory} has mode ${modeOf(found)}: other users can get at backups, which hold all data and the passwords of roles`,
			fix: `chmod 700 ${directory}`,
		},
	];
}

function modeOf({ mode }: Stats): string {
	return (mode & 0o777).toString(8);
}

/** Whether the container writes to this very directory. */
async function mounted(facts: Facts, directory: string): Promise<Finding[]> {
	const { command } = facts.context;
	if (await facts.lacks("docker")) return [];
	const container = (await facts.containers()).find(({ service }) => service === "backup");
	const source = container?.mounts.find(({ Destination }) => Destination === mountPoint)?.Source;
	if (!container || !source) return [];
	if (source !== directory) {
		return [
			{
				verdict: "warn",
				message: `the settings name ${directory}, and the backup container still writes to ${source}`,
				fix: command("up"),
			},
		];
	}
	if (container.state !== "running" || !(await replacedSince({ container, directory }))) return [];
	return [
		{
			verdict: "fail",
			message: `${directory} was replaced since ${container.name} started, which still writes to the one before`,
			fix: command("restart backup"),
		},
	];
}
