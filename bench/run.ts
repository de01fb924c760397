/** `npm run bench`: ratios side by side in one run, and seconds where a person waits; the machine is named. */
import { cpus, totalmem } from "node:os";
import { benchBackup } from "./backup.ts";
import { benchLifecycle } from "./lifecycle.ts";
import { benchRestore } from "./restore.ts";

const args = process.argv.slice(2);
const gibibytes = Math.round(totalmem() / 2 ** 30);
console.log(
	`Machine: ${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${gibibytes} GiB, Node ${process.versions.node}\n`,
);
const benches = {
	lifecycle: benchLifecycle,
	backup: benchBackup,
	restore: benchRestore,
};
const chosen = Object.entries(benches).filter(([name]) => args.includes(name));
for (const [, bench] of chosen.length > 0 ? chosen : Object.entries(benches)) await bench();
