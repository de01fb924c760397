/**
 * A full backup by the specification's own steps, by the agent with gzip and with zstd, and the floor: pg_dump to
 * nowhere. One run, the same data, in the stack's own backup container; the ratio is the result.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { BenchStack, docker, makeData } from "./bench-stack.ts";

const specSteps = `
	cd /backups; t=bench
	PGPASSWORD=$(cat /run/secrets/database_password) pg_dump -h db -U postgres backend_db > db_backup_$t.sql
	tar czf media_backup_$t.tar.gz -C /data/media .
	tar czf static_backup_$t.tar.gz -C /data/static .
	tar czf spec_$t.tar.gz db_backup_$t.sql media_backup_$t.tar.gz static_backup_$t.tar.gz
	rm db_backup_$t.sql media_backup_$t.tar.gz static_backup_$t.tar.gz; sync -f spec_$t.tar.gz`;

interface Measured {
	readonly name: string;
	readonly seconds: number;
	readonly verifying?: number;
	readonly size?: number;
	readonly peakMb?: number;
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
		const floor = timed(inSidecar(`${dump} > /dev/null`));
		const dumpBytes = Number(docker(...inSidecar(`${dump} | wc -c`)));
		const spec = timed(inSidecar(specSteps));
		const specSize = statSync(join(stack.directory, "backups", "spec_bench.tar.gz")).size;
		show(
			[
				{ name: "floor: pg_dump to null", seconds: floor.seconds },
				{ name: "spec's own steps", seconds: spec.seconds, size: specSize },
				agentRun(stack, "gzip"),
				agentRun(stack, "zstd"),
			],
			dumpBytes,
		);
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

function agentRun(stack: BenchStack, compression: string): Measured {
	stack.configure({ backupCompression: compression });
	stack.time("up");
	const container = `${stack.name}-backup`;
	const stop = watchMemory(container, join(stack.directory, "peak"));
	const { seconds, stdout } = timed(["exec", container, "agent", "backup", "--json"]);
	const made = JSON.parse(stdout) as { size: number; seconds: { verifying: number } };
	return {
		name: `agent, ${compression}`,
		seconds: seconds - made.seconds.verifying,
		verifying: made.seconds.verifying,
		size: made.size,
		peakMb: stop(),
	};
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

function show(rows: readonly Measured[], dumpBytes: number): void {
	const spec = rows.find((row) => row.name.startsWith("spec"))?.seconds ?? Number.NaN;
	console.log(`dump ${(dumpBytes / 1e6).toFixed(0)} MB, media 400 MB, static files 60 MB\n`);
	for (const row of rows) {
		const columns = [
			row.name.padEnd(24),
			`${row.seconds.toFixed(2)} s`.padStart(9),
			`${(spec / row.seconds).toFixed(1)} x`.padStart(8),
			row.size ? `${(row.size / 1e6).toFixed(0)} MB` : "",
			row.verifying ? `reading back ${row.verifying.toFixed(2)} s` : "",
			row.peakMb ? `peak ${row.peakMb.toFixed(0)} MB` : "",
		];
		console.log(columns.join("  ").trimEnd());
	}
}
