/** Whether the application works on the database that is there, or still on what was there before. */
import { recognised } from "../cases.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

export async function lookAtRestoredData(facts: Facts): Promise<Finding[]> {
	const database = await facts.database();
	if (!database) return [];
	const findings: Finding[] = [];
	const backend = (await facts.containers()).find(({ service }) => service === "backend");
	if (backend?.state === "running" && database.created > backend.startedAt) {
		const at = database.created.toISOString();
		findings.push(
			recognised(
				facts.context,
				"restore-not-visible",
				`the database was restored or made anew at ${at}, and ${backend.name} has run since before`,
			),
		);
	}
	if (database.collationChanged) {
		findings.push({
			verdict: "warn",
			message:
				"the database was made under another C library, which may sort text in another order: indexes of text may miss rows",
			fix: `${facts.context.command("db-shell")}, then: REINDEX DATABASE backend_db; ALTER DATABASE backend_db REFRESH COLLATION VERSION;`,
		});
	}
	if (findings.length > 0) return findings;
	return [{ verdict: "ok", message: "the application has started after the database was made" }];
}
