/**
 * A full restore by the specification's own steps, by `stack restore`, and the floor: psql alone, of the same dump.
 * One run, the data of the backup bench; the ratio, and the time for which the application does not answer.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchStack, docker, makeData } from "./bench-stack.ts";

/** Share of the specification's time until the data is in place, and seconds of downtime, aimed at on two cores. */
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
		"\nFull restore: seconds until the data is in place, synced, and until the application answers with it; the question is answered beforehand.",
	);
	const stack = await BenchStack.create("local");
	try {
		stack.time("up");
		makeData(stack);
		stack.time("backup");
		const file = readdirSync(join(stack.directory, "backups")).find((name) => name.endsWith(".tar.gz")) ?? "";
		const hands = startHands(stack);
		const spec = inEmptyDatabase(stack, hands, specSteps.replace("FILE", file));
		docker("exec", hands, "sh", "-ec", `cd /work; tar xzf /backups/${file} --wildcards 'db_backup_*'`);
		const floor = inEmptyDatabase(stack, hands, `dump=$(echo /work/db_backup_*.sql); ${psql} > /dev/null`);
		docker("rm", "--force", "--volumes", hands);
		await show(stack, file, { spec, floor, restart: await restartServices(stack) });
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

/** The specification's last step, of the services that use the data, until the application answers. */
async function restartServices(stack: BenchStack): Promise<number> {
	const began = performance.now();
	docker("restart", `${stack.name}-backend`, `${stack.name}-proxy`);
	const answers = () =>
		fetch(healthAddress(stack)).then(
			(response) => response.ok,
			() => false,
		);
	while (!(await answers())) await sleep(50);
	return (performance.now() - began) / 1000;
}

function healthAddress(stack: BenchStack): string {
	return `http://127.0.0.1:${stack.port}/api/healthz`;
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
	{ spec, floor, restart }: { spec: number; floor: number; restart: number },
): Promise<void> {
	const stopWatching = watchOutage(healthAddress(stack));
	const { seconds, stdout } = stack.run("restore", file, "--yes", "--json");
	const outage = await stopWatching();
	const told = JSON.parse(stdout) as {
		seconds: Record<"safetyBackup" | "staging" | "swapping" | "starting" | "clearing", number>;
		downtimeSeconds: number;
	};
	const { safetyBackup, staging, swapping, starting, clearing } = told.seconds;
	const whole = seconds - safetyBackup;
	const inPlace = whole - starting - clearing;
	const line = (name: string, value: number, of: number, more = "") =>
		console.log(
			`${name.padEnd(34)}  ${`${value.toFixed(2)} s`.padStart(9)}  ${`${(value / of).toFixed(2)} of spec's`.padStart(15)}  ${more}`.trimEnd(),
		);
	line("floor: psql alone", floor, spec);
	line("spec's own steps", spec, spec);
	line("  and its restart of the services", spec + restart, spec + restart);
	line("stack restore, data in place", inPlace, spec, `aim ${aims.ratio}`);
	line("  and services up, old data removed", whole, spec + restart);
	console.log(
		`staging ${staging.toFixed(2)} s, swap ${swapping.toFixed(2)} s, start ${starting.toFixed(2)} s, removal ${clearing.toFixed(2)} s; safety backup ${safetyBackup.toFixed(2)} s beside it`,
	);
	console.log(
		`without an answer: ${outage.toFixed(2)} s (aim ${aims.downtimeSeconds}); the command says ${told.downtimeSeconds.toFixed(2)} s`,
	);
}
