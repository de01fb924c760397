/**
 * A full backup by the specification's own steps, by the agent with gzip and with zstd, and the floor: pg_dump to
 * nowhere. One run, the same data, in the stack's own backup container, in several rounds; the ratio is the result.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { BenchStack, docker, makeData } from "./bench-stack.ts";
import { inRounds, ratios, seconds } from "./rounds.ts";

const specSteps = `
	cd /backups; t=bench
	PGPASSWORD=$(cat /run/secrets/database_password) pg_dump -h db -U postgres backend_db > db_backup_$t.sql
	tar czf media_backup_$t.tar.gz -C /data/media .
	tar czf static_backup_$t.tar.gz -C /data/static .
	tar czf spec_$t.tar.gz db_backup_$t.sql media_backup_$t.tar.gz static_backup_$t.tar.gz
	rm db_backup_$t.sql media_backup_$t.tar.gz static_backup_$t.tar.gz; sync -f spec_$t.tar.gz`;

/** Times as fast as the specification's steps, aimed at on two cores. */
const aims = { gzip: 7, zstd: 9 } as const;

/** Milliseconds after an up, until the services are idle. */
const settling = 10_000;

interface Round {
	readonly floor: number;
	readonly spec: number;
	readonly gzip: AgentRun;
	readonly zstd: AgentRun;
}

interface AgentRun {
	readonly seconds: number;
	readonly verifying: number;
	readonly size: number;
	readonly peakMb: number;
}

export async function benchBackup(): Promise<void> {
	console.log(
		"\nFull backup: seconds until the archive is on the disk, synced; reading it back is printed beside.",
	);
	const stack = await BenchStack.create("local");
	try {
		stack.time("up");
		makeData(stack);
		const inSidecar = (script: string) => ["exec", `${stack.name}-backup`, "sh", "-ec", script];
		const dump = "PGPASSWORD=$(cat /run/secrets/database_password) pg_dump -h db -U postgres backend_db";
		const dumpBytes = Number(docker(...inSidecar(`${dump} | wc -c`)));
		const measured = await inRounds(async (): Promise<Round> => {
			const floor = timed(inSidecar(`${dump} > /dev/null`)).seconds;
			const spec = timed(inSidecar(specSteps)).seconds;
			return { floor, spec, gzip: await agentRun(stack, "gzip"), zstd: await agentRun(stack, "zstd") };
		});
		const specSize = statSync(join(stack.directory, "backups", "spec_bench.tar.gz")).size;
		show(measured, { dumpBytes, specSize });
	} finally {
		stack.cleanUp();
	}
}

function timed(args: readonly string[]): { seconds: number; stdout: string } {
	docker("exec", args[1] ?? "", "sync");
	const began = performance.now();
	const stdout = docker(...args);
	return { seconds: (performance.now() - began) / 1000, stdout };
}

async function agentRun(stack: BenchStack, compression: string): Promise<AgentRun> {
	stack.configure({ backupCompression: compression });
	stack.time("up");
	// A container that has only just started has work of its own.
	await sleep(settling);
	const container = `${stack.name}-backup`;
	const stop = watchMemory(container, join(stack.directory, "peak"));
	const { seconds, stdout } = timed(["exec", container, "agent", "backup", "--json"]);
	const made = JSON.parse(stdout) as { size: number; seconds: { verifying: number } };
	const { verifying } = made.seconds;
	return { seconds: seconds - verifying, verifying, size: made.size, peakMb: stop() };
}

/** Reads the container's memory, all its processes together, while it works; page cache is not counted. */
function watchMemory(container: string, record: string): () => number {
	const id = docker("inspect", "--format", "{{.Id}}", container);
	const first = `/sys/fs/cgroup/memory/docker/${id}/memory.stat`;
	const stat = existsSync(first) ? first : `/sys/fs/cgroup/system.slice/docker-${id}.scope/memory.stat`;
	const watcher = spawn(
		process.execPath,
		[
			"-e",
			`let peak = 0; setInterval(() => { try {
				const stat = Object.fromEntries(require("fs").readFileSync(${JSON.stringify(stat)}, "utf8").trim().split("\\n").map((l) => l.split(" ")));
				const used = stat.total_rss ? Number(stat.total_rss) + Number(stat.total_shmem ?? 0) : Number(stat.anon) + Number(stat.shmem);
				if (used > peak) { peak = used; require("fs").writeFileSync(${JSON.stringify(record)}, String(peak)); }
			} catch {} }, 20);`,
		],
		{ stdio: "ignore" },
	);
	return () => {
		watcher.kill();
		return Number(readFileSync(record, "utf8")) / 1e6;
	};
}

function show(
	rounds: readonly Round[],
	{ dumpBytes, specSize }: { dumpBytes: number; specSize: number },
): void {
	console.log(`dump ${(dumpBytes / 1e6).toFixed(0)} MB, media 400 MB, static files 60 MB\n`);
	const spec = rounds.map((round) => round.spec);
	const line = (name: string, values: readonly number[], ...more: readonly string[]) => {
		const { middle, range } = ratios(spec, values, 1);
		const columns = [
			name.padEnd(22),
			seconds(values),
			`${middle} x`.padStart(7),
			`(${range})`.padEnd(14),
			...more,
		];
		console.log(columns.join("  ").trimEnd());
	};
	const size = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
	line(
		"floor: pg_dump to null",
		rounds.map((round) => round.floor),
	);
	line("spec's own steps", spec, size(specSize));
	for (const [compression, aim] of Object.entries(aims)) {
		const runs = rounds.map((round) => round[compression as keyof typeof aims]);
		line(
			`agent, ${compression}`,
			runs.map((run) => run.seconds),
			size(runs[0]?.size ?? 0),
			`aim ${aim} x, reading back ${seconds(runs.map((run) => run.verifying)).trim()}, peak ${Math.max(...runs.map((run) => run.peakMb)).toFixed(0)} MB`,
		);
	}
}
