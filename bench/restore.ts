/**
 * A full restore by the specification's own steps, by `stack restore`, and the floor: psql alone, of the same dump.
 * One run, the data of the backup bench; the ratio, and the time for which the application does not answer.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { makeFiles, makeRows } from "./backup.ts";
import { BenchStack, docker } from "./bench-stack.ts";

/** Shares of the specification's time, and seconds of downtime, aimed at on two cores. */
const aims = { ratio: 0.7, downtimeSeconds: 5 } as const;

const psql =
	'PGPASSWORD=$(cat /run/secrets/database_password) psql -X -q -h db -U postgres -d empty < "$dump"';

/** What the specification's `restore` does, after its question: the archive is unpacked, then each part is put back. */
const specSteps = `
	cd /work; tar xzf /backups/FILE; dump=$(echo db_backup_*.sql)
	${psql} > /dev/null
	for part in media static; do
		find /targets/$part -mindepth 1 -delete; tar xzf "$(echo \${part}_backup_*.tar.gz)" -C /targets/$part
	done
	rm -rf /work/*; sync`;

export async function benchRestore(): Promise<void> {
	console.log(
		"\nFull restore: seconds until the data is in place, synced; the question is answered beforehand.",
	);
	const stack = await BenchStack.create("local");
	try {
		stack.time("up");
		docker("exec", `${stack.name}-db`, "psql", "-q", "-U", "postgres", "-d", "backend_db", "-c", makeRows);
		docker("exec", `${stack.name}-backend`, "sh", "-ec", makeFiles);
		stack.time("backup");
		const file = readdirSync(join(stack.directory, "backups")).find((name) => name.endsWith(".tar.gz")) ?? "";
		const hands = startHands(stack);
		const spec = inEmptyDatabase(stack, hands, specSteps.replace("FILE", file));
		docker("exec", hands, "sh", "-ec", `cd /work; tar xzf /backups/${file} --wildcards 'db_backup_*'`);
		const floor = inEmptyDatabase(stack, hands, `dump=$(echo /work/db_backup_*.sql); ${psql} > /dev/null`);
		docker("rm", "--force", "--volumes", hands);
		await show(stack, file, { spec, floor });
	} finally {
		stack.cleanUp();
	}
}

/** A container with what the steps need: the archive, room to unpack it, the database, and the volumes. */
function startHands(stack: BenchStack): string {
	const backup = `${stack.name}-backup`;
	const inspect = (format: string) => docker("inspect", "--format", format, backup);
	const id = docker(
		...["run", "--detach", "--init", "--network", `${stack.name}-data`, "--user", "0:0"],
		...["--label", `persistent-stack.owner=persistent-stack/${stack.name}`],
		...["--volume", `${join(stack.directory, "backups")}:/backups:ro`, "--volume", "/work"],
		...["--volume", `${stack.name}-backend-media:/targets/media`],
		...["--volume", `${stack.name}-backend-static:/targets/static`],
		...["--entrypoint", "sleep", inspect("{{.Image}}"), "infinity"],
	);
	const password = docker("exec", backup, "cat", "/run/secrets/database_password");
	docker(
		"exec",
		id,
		"sh",
		"-ec",
		`mkdir -p /run/secrets; printf %s '${password}' > /run/secrets/database_password`,
	);
	return id;
}

/** Seconds of a script, with an empty database at hand. */
function inEmptyDatabase(stack: BenchStack, hands: string, script: string): number {
	const sql = (text: string) =>
		docker("exec", `${stack.name}-db`, "psql", "-q", "-U", "postgres", "-c", text);
	sql("CREATE DATABASE empty TEMPLATE template0");
	docker("exec", hands, "sync");
	const began = performance.now();
	docker("exec", hands, "sh", "-ec", script);
	const seconds = (performance.now() - began) / 1000;
	sql("DROP DATABASE empty");
	return seconds;
}

/** Starts asking; the result ends it and gives the longest time without an answer. */
function watchOutage(address: string): () => Promise<number> {
	const watcher = spawn(process.execPath, [join(import.meta.dirname, "outage.ts"), address], {
		stdio: ["pipe", "pipe", "ignore"],
	});
	let printed = "";
	watcher.stdout.setEncoding("utf8").on("data", (text: string) => {
		printed += text;
	});
	return () =>
		new Promise((done) => {
			watcher.once("close", () => done(Number(printed)));
			watcher.stdin.end();
		});
}

async function show(
	stack: BenchStack,
	file: string,
	{ spec, floor }: { spec: number; floor: number },
): Promise<void> {
	const stopWatching = watchOutage(`http://127.0.0.1:${stack.port}/api/healthz`);
	const { seconds, stdout } = stack.run("restore", file, "--yes", "--json");
	const outage = await stopWatching();
	const told = JSON.parse(stdout) as {
		seconds: { safetyBackup: number; staging: number; swapping: number };
		downtimeSeconds: number;
	};
	const ours = seconds - told.seconds.safetyBackup;
	const line = (name: string, value: number, more = "") =>
		console.log(
			`${name.padEnd(24)}  ${`${value.toFixed(2)} s`.padStart(9)}  ${`${(value / spec).toFixed(2)} of spec's`.padStart(15)}  ${more}`.trimEnd(),
		);
	line("floor: psql alone", floor);
	line("spec's own steps", spec);
	line(
		"stack restore",
		ours,
		`aim ${aims.ratio}; safety backup ${told.seconds.safetyBackup.toFixed(2)} s beside it`,
	);
	console.log(
		`of it staging ${told.seconds.staging.toFixed(2)} s, swap and start ${told.seconds.swapping.toFixed(2)} s. Without an answer: ${outage.toFixed(2)} s (aim ${aims.downtimeSeconds}); the command says ${told.downtimeSeconds.toFixed(2)} s`,
	);
}
