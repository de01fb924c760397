/** Whether the database's files are sound: every table and index is read. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { databaseName, databaseUser } from "../../../components/identity.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** Damages that are shown; the rest are counted. */
const shown = 5;

/** Ends psql when its own input ends, which is when this program ends, however it does. */
const inside = `exec 3<&0
printf %s "$SCRIPT" | psql -X -U ${databaseUser} -d ${databaseName} & psql=$!
{ cat >/dev/null; kill "$psql" 2>/dev/null; } <&3 & watch=$!
wait "$psql"; code=$?
kill "$watch" 2>/dev/null
exit "$code"`;

export async function lookAtIntegrity(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const db = (await facts.containers()).find(({ service }) => service === "db");
	const script = readFileSync(new URL("../amcheck.sql", import.meta.url), "utf8");
	const command = ["exec", "--interactive", "--env", `SCRIPT=${script}`, db?.id ?? "", "sh", "-c", inside];
	const said = await converse(command, context.signal);
	return [judge(said, context.command)];
}

/** What psql said, both streams. */
export function judge(said: string, command: (line: string) => string): Finding {
	if (/extension "amcheck" is not available|could not open extension control file/.test(said)) {
		const message = "not read: this PostgreSQL image is without the extension amcheck";
		return { verdict: "warn", message, fix: "use an image with PostgreSQL's contrib modules" };
	}
	const told = (kind: string) =>
		[...said.matchAll(new RegExp(`^NOTICE: +${kind}: (.*)$`, "gm"))].map(([, what]) => what);
	const [read] = told("read");
	if (!read) {
		const why = said.trim().split("\n").at(-1) || "psql said nothing";
		return {
			verdict: "fail",
			message: `the check did not come to its end: ${why}`,
			fix: command("logs db --tail 50"),
		};
	}
	const damages = told("damage");
	if (damages.length === 0) return { verdict: "ok", message: `${read} read with amcheck, all sound` };
	const more = damages.length > shown ? `; and ${damages.length - shown} more` : "";
	return {
		verdict: "fail",
		message: `damaged: ${damages.slice(0, shown).join("; ")}${more}`,
		fix: `an index: REINDEX INDEX NAME in ${command("db-shell")}; a table: ${command("restore --latest")}`,
	};
}

function converse(command: readonly string[], signal: AbortSignal): Promise<string> {
	return new Promise((done, fail) => {
		const child = spawn("docker", command, { stdio: ["pipe", "pipe", "pipe"], signal });
		let said = "";
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8").on("data", (text: string) => {
				said += text;
			});
		}
		child.stdin.on("error", () => undefined);
		child.once("error", fail);
		child.once("close", () => done(said));
	});
}
