/**
 * The troubleshooting cases of the specification: which probe recognises each, what it says and what mends it.
 */
import type { VerbContext } from "../context.ts";
import type { Finding, Verdict } from "./probe.ts";

interface TroubleCase {
	/** The specification's own heading. */
	readonly symptom: string;
	/** Topic of the probe that recognises it. */
	readonly probe: string;
	readonly verdict: Verdict;
	/** @param what the object it is about, and how it was seen. */
	readonly message: (what: string) => string;
	readonly fix: (command: VerbContext["command"], object: string) => string;
}

export const cases = {
	"database-not-running": {
		symptom: 'Backup Fails with "Database Not Running"',
		probe: "services",
		verdict: "fail",
		message: (what) => `the database does not run (${what}); until it does, no backup can be made`,
		fix: (command) => `${command("start")}, which waits until it is healthy; then ${command("backup")}`,
	},
	"restore-not-visible": {
		symptom: "Restore Doesn't Apply Changes",
		probe: "restored data",
		verdict: "warn",
		message: (what) => `${what}, so it may still show what it has read before`,
		fix: (command) => `${command("restart")}; if that does not help ${command("rebuild")}`,
	},
	"disk-full": {
		symptom: "Volume Disk Space Full",
		probe: "disk",
		verdict: "warn",
		message: (what) => what,
		fix: (command) =>
			`see ${command("volumes")}; make room with ${command("clean-logs")}, ${command("backup prune")} and docker image prune; never docker system prune --volumes`,
	},
	"volume-in-use": {
		symptom: "Can't Delete Volume (In Use)",
		probe: "volumes",
		verdict: "warn",
		message: (what) =>
			`${what}, which is not of this stack; as long as it is there the volume cannot be removed`,
		fix: (_, container) => `docker rm --force ${container}`,
	},
	"backup-directory-missing": {
		symptom: "Backup Directory Not Found",
		probe: "backup directory",
		verdict: "fail",
		message: (what) => `the backup directory ${what} is missing; no backup can be made`,
		fix: (command, directory) =>
			`mkdir -p ${directory} && chmod 700 ${directory} && ${command("restart backup")}`,
	},
	"database-damaged": {
		symptom: "PostgreSQL Won't Start After Restore",
		probe: "services",
		verdict: "fail",
		message: (what) => `PostgreSQL cannot open its files: ${what}`,
		fix: (command) =>
			`${command("restore --latest --rebuild-database")}, which keeps the damaged files aside`,
	},
	"data-lost": {
		symptom: "Lost Data After `docker compose down -v`",
		probe: "volumes",
		verdict: "fail",
		message: (what) => what,
		fix: (command) =>
			`${command("restore --latest")}; and from now on ${command("clean")}, which keeps the volumes`,
	},
} as const satisfies Readonly<Record<string, TroubleCase>>;

export type CaseName = keyof typeof cases;

/**
 * The finding for a case.
 *
 * @param what how it was seen, put into the case's message.
 * @param object what the fix is about: a container, a directory.
 */
export function recognised(
	{ command }: Pick<VerbContext, "command">,
	name: CaseName,
	what: string,
	{ object = "", verdict }: { object?: string; verdict?: Verdict } = {},
): Finding {
	const entry: TroubleCase = cases[name];
	return {
		verdict: verdict ?? entry.verdict,
		message: entry.message(what),
		fix: entry.fix(command, object),
		case: name,
	};
}
