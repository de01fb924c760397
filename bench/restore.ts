/**
 * A full restore by the specification's own steps, by `stack restore`, and the floor: psql alone, of the same dump.
 * One run, in several rounds, the data of the backup bench; the ratio, and the time for which the application does not answer.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchStack, docker, makeData } from "./bench-stack.ts";
import { inRounds, ratios, seconds } from "./rounds.ts";

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
		docker(
			"exec",
			hands,
			"sh",
			"-ec",
			`mkdir /dump; cd /dump; tar xzf /backups/${file} --wildcards 'db_backup_*'`,
		);
		const alone = `dump=$(echo /dump/db_backup_*.sql); ${psql} > /dev/null`;
		const measured = await inRounds(async () => ({
			floor: inEmptyDatabase(stack, hands, alone),
			spec: inEmptyDatabase(stack, hands, specSteps.replace("FILE", file)),
			restart: await restartServices(stack),
			...(await restore(stack, file)),
		}));
		docker("rm", "--force", "--volumes", hands);
		show(measured);
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

interface Restored {
	/** Seconds until the data is in place, and until the services answer and what was before is removed. */
	readonly inPlace: number;
	readonly whole: number;
	/** Seconds of its parts, as the command tells them. */
	readonly parts: Readonly<Record<"safetyBackup" | "staging" | "swapping" | "starting" | "clearing", number>>;
	/** Seconds without an answer, as seen from outside and as the command tells. */
	readonly outage: number;
	readonly downtime: number;
}

async function restore(stack: BenchStack, file: string): Promise<Restored> {
	const stopWatching = watchOutage(healthAddress(stack));
	const { seconds, stdout } = stack.run("restore", file, "--yes", "--json");
	const outage = await stopWatching();
	const told = JSON.parse(stdout) as { seconds: Restored["parts"]; downtimeSeconds: number };
	const whole = seconds - told.seconds.safetyBackup;
	const inPlace = whole - told.seconds.starting - told.seconds.clearing;
	return { inPlace, whole, outage, parts: told.seconds, downtime: told.downtimeSeconds };
}

function show(rounds: readonly (Restored & Record<"floor" | "spec" | "restart", number>)[]): void {
	const spec = rounds.map((round) => round.spec);
	const withRestart = rounds.map((round) => round.spec + round.restart);
	const line = (name: string, values: readonly number[], of: readonly number[], more = "") => {
		const { middle, range } = ratios(values, of, 2);
		console.log(`${name.padEnd(34)}  ${seconds(values)}  ${middle} of spec's (${range})  ${more}`.trimEnd());
	};
	line(
		"floor: psql alone",
		rounds.map((round) => round.floor),
		spec,
	);
	line("spec's own steps", spec, spec);
	line("  and its restart of the services", withRestart, withRestart);
	line(
		"stack restore, data in place",
		rounds.map((round) => round.inPlace),
		spec,
		`aim ${aims.ratio}`,
	);
	line(
		"  and services up, old data removed",
		rounds.map((round) => round.whole),
		withRestart,
	);
	const part = (name: keyof Restored["parts"]) => seconds(rounds.map(({ parts }) => parts[name])).trim();
	console.log(
		`staging ${part("staging")}, swap ${part("swapping")}, start ${part("starting")}, removal ${part("clearing")}; safety backup ${part("safetyBackup")} beside it`,
	);
	const [outage, downtime] = [rounds.map((round) => round.outage), rounds.map((round) => round.downtime)];
	console.log(
		`without an answer: ${seconds(outage).trim()} (aim ${aims.downtimeSeconds}); the command says ${seconds(downtime).trim()}`,
	);
}
