/**
 * A full backup by the specification's own steps, by the agent with gzip and with zstd, and the floor: pg_dump to
 * nowhere. One run, the same data, side by side; the ratio is the result, the seconds are this machine's.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { docker, Rig, run } from "../test/recovery/rig.ts";

const memoryLimit = "150m";
const rig = new Rig("bench");

/** Rows of about 100 bytes of text as an application has it: names, numbers, words. */
const makeRows = `
	CREATE TABLE record(id bigint PRIMARY KEY, owner int, at timestamptz, code text, note text);
	INSERT INTO record SELECT g, g % 9973, '2026-01-01'::timestamptz + g * interval '7 seconds', md5(g::text),
		'note ' || g % 1000 || ' of ' || (ARRAY['alpha','beta','gamma','delta'])[1 + g % 4]
		FROM generate_series(1, 4200000) g;
	ANALYZE;`;

const makeFiles = `
	for i in $(seq 1 100); do head -c 4000000 /dev/urandom > /media/upload-$i.bin; done
	mkdir -p /static/lib; for i in $(seq 1 60); do
		base64 /dev/urandom | head -c 500000 | fold -w 40 | sed 's/^/\\t.class { colour: /; s/$/; }/' > /static/lib/style-$i.css
	done; chown -R 10001:10001 /media /static`;

const specSteps = `
	cd /backups; t=bench
	pg_dump -h db -U postgres backend_db > db_backup_$t.sql
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

function timed(name: string, args: readonly string[]): { seconds: number; stdout: string } {
	run("sync", []);
	const began = performance.now();
	const { code, stdout, stderr } = run("docker", args);
	if (code !== 0) throw new Error(`${name} failed: ${stderr}`);
	return { seconds: (performance.now() - began) / 1000, stdout };
}

/** Reads the container's memory, all its processes together, while it works; page cache is not counted. */
function watchMemory(container: string): () => number {
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
				if (used > peak) { peak = used; require("fs").writeFileSync(${JSON.stringify(join(rig.directory, "peak"))}, String(peak)); }
			} catch {} }, 20);`,
		],
		{ stdio: "ignore" },
	);
	return () => {
		watcher.kill();
		return Number(readFileSync(join(rig.directory, "peak"), "utf8")) / 1e6;
	};
}

function agentRun(name: string, compression: string): Measured {
	rig.config = { ...rig.config, compression };
	const container = `${rig.name}-${compression}`;
	docker(
		...["run", "--detach", `--name=${container}`, `--memory=${memoryLimit}`, `--memory-swap=${memoryLimit}`],
		...rig.sidecarArguments(),
		rig.agentImage,
	);
	const stop = watchMemory(container);
	const { seconds, stdout } = timed(name, ["exec", container, "agent", "backup", "--json"]);
	const peakMb = stop();
	const made = JSON.parse(stdout);
	docker("rm", "--force", container);
	return {
		name,
		seconds: seconds - made.seconds.verifying,
		verifying: made.seconds.verifying,
		size: made.size,
		peakMb,
	};
}

function show(rows: readonly Measured[]): void {
	const spec = rows.find((row) => row.name.startsWith("spec"))?.seconds ?? Number.NaN;
	process.stdout.write(
		`${cpus().length} cores, ${cpus()[0]?.model}; the agent's container has ${memoryLimit} of memory\n`,
	);
	for (const row of rows) {
		const columns = [
			row.name.padEnd(24),
			`${row.seconds.toFixed(2)} s`.padStart(9),
			`${(spec / row.seconds).toFixed(1)} x`.padStart(8),
			row.size ? `${(row.size / 1e6).toFixed(0)} MB` : "",
			row.verifying ? `reading back ${row.verifying.toFixed(2)} s` : "",
			row.peakMb ? `peak ${row.peakMb.toFixed(0)} MB` : "",
		];
		process.stdout.write(`${columns.join("  ").trimEnd()}\n`);
	}
}

try {
	await rig.start();
	rig.sql(makeRows);
	rig.shell(makeFiles);
	const container = `${rig.name}-spec`;
	const password = `--env=PGPASSWORD=${rig.password}`;
	docker(
		"run",
		"--detach",
		`--name=${container}`,
		...rig.sidecarArguments([password, "--entrypoint=sleep"]),
		rig.agentImage,
		"1d",
	);
	const floor = timed("floor", [
		"exec",
		container,
		"sh",
		"-c",
		"pg_dump -h db -U postgres backend_db > /dev/null",
	]);
	const dumpBytes = docker("exec", container, "sh", "-c", "pg_dump -h db -U postgres backend_db | wc -c");
	const spec = timed("spec", ["exec", container, "sh", "-ec", specSteps]);
	const specSize = statSync(join(rig.backups, "spec_bench.tar.gz")).size;
	const rows: Measured[] = [
		{ name: "floor: pg_dump to null", seconds: floor.seconds },
		{ name: "spec's own steps", seconds: spec.seconds, size: specSize },
		agentRun("agent, gzip", "gzip"),
		agentRun("agent, zstd", "zstd"),
	];
	process.stdout.write(`dump ${(Number(dumpBytes) / 1e6).toFixed(0)} MB; `);
	show(rows);
} finally {
	rig.stop();
}
