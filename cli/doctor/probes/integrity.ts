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
	if (db?.state !== "running") {
		const fix = context.command("start db");
		return [{ verdict: "warn", message: "not read: the database does not run", fix }];
	}
	const script = readFileSync(new URL("../amcheck.sql", import.meta.url), "utf8");
	const command = ["exec", "--interactive", "--env", `SCRIPT=${script}`, db.id, "sh", "-c", inside];
	const said = await converse(command, context.signal);
	return [judge(said, context.command)];
}

/** What psql said, both streams. */
export function judge(said: string, command: (line: string) => string): Finding {
	const lines = said.split("\n").map((line) => line.trim());
	if (
		lines.some((line) =>
			/extension "amcheck" is not available|could not open extension control file/.test(line),
		)
	) {
		const message = "not read: this PostgreSQL image is without the extension amcheck";
		return { verdict: "warn", message, fix: "use an image with PostgreSQL's contrib modules" };
	}
	const damages = lines
		.map((line) => /^(?:damage: |.*\bERROR: +)(.*)/.exec(line)?.[1])
		.filter((damage) => damage !== undefined);
	const read = lines.map((line) => /^read: (.*)/.exec(line)?.[1]).find(Boolean);
	if (damages.length > 0) {
		const more = damages.length > shown ? `; and ${damages.length - shown} more` : "";
		return {
			verdict: "fail",
			message: `the database is damaged: ${damages.slice(0, shown).join("; ")}${more}`,
			fix: `an index: REINDEX INDEX NAME in ${command("db-shell")}; a table: ${command("restore --latest")}`,
		};
	}
	if (read) return { verdict: "ok", message: `${read} read with amcheck, all sound` };
	return {
		verdict: "fail",
		message: `the check ended early: ${lines.filter(Boolean).at(-1) ?? "psql said nothing"}`,
		fix: command("logs db --tail 50"),
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
