/** Room on the disks that the sidecar sees, and what the volumes hold. */
import { stat, statfs } from "node:fs/promises";
import pg from "pg";
import type { VolumeKey } from "../components/catalogue.ts";
import { output } from "./children.ts";
import { type AgentConfig, fileSets, readSecret } from "./config.ts";

export interface Disk {
	/** What lies on it: `backups`, `volumes`; where both are on one disk it is there once, as `backups`. */
	readonly name: string;
	readonly path: string;
	readonly size: number;
	/** Bytes that may still be written. */
	readonly free: number;
	/** Share in use of what may be used, in percent, as df counts it. */
	readonly usedPercent: number;
}

/** The disk of the recovery points and that of the volumes. */
export async function measureDisks(config: AgentConfig): Promise<Disk[]> {
	const [first] = fileSets(config);
	const places = [
		{ name: "backups", path: config.backupDirectory },
		...(first ? [{ name: "volumes", path: first.directory }] : []),
	];
	const disks: Disk[] = [];
	const seen = new Set<number>();
	for (const { name, path } of places) {
		const { dev } = await stat(path);
		if (seen.has(dev)) continue;
		seen.add(dev);
		const { blocks, bfree, bavail, bsize } = await statfs(path);
		const used = blocks - bfree;
		const usable = used + bavail;
		const usedPercent = usable > 0 ? (used / usable) * 100 : 0;
		disks.push({ name, path, size: blocks * bsize, free: bavail * bsize, usedPercent });
	}
	return disks;
}

/**
 * Bytes in the volumes that can be measured from here: of the archived ones what their files take up, of the
 * database's what the server says of its databases and its log. What cannot be measured now is left out.
 */
export async function measureVolumes(
	config: AgentConfig,
	signal: AbortSignal,
): Promise<Partial<Record<VolumeKey, number>>> {
	const sizes: Partial<Record<VolumeKey, number>> = {};
	for (const { volume, directory } of fileSets(config)) {
		// Files that vanish while it counts make du end with 1.
		const text = await output("du", ["--summarize", "--block-size=1", "--", directory], {
			signal,
			accept: [0, 1],
		}).catch(() => "");
		const bytes = Number.parseInt(text, 10);
		if (Number.isFinite(bytes)) sizes[volume] = bytes;
	}
	const database = await databaseBytes(config).catch(() => undefined);
	if (database !== undefined) sizes["postgres-data"] = database;
	return sizes;
}

async function databaseBytes({ database }: AgentConfig): Promise<number> {
	const client = new pg.Client({
		host: database.host,
		port: database.port,
		database: database.name,
		user: database.user,
		password: readSecret(database.passwordFile, () => undefined),
		application_name: "persistent-stack measure",
		connectionTimeoutMillis: 10_000,
		query_timeout: 30_000,
	});
	client.on("error", () => undefined);
	try {
		await client.connect();
		const { rows } = await client.query(
			"SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database) + (SELECT coalesce(sum(size), 0) FROM pg_ls_waldir()) AS bytes",
		);
		return Number(rows[0]?.bytes);
	} finally {
		await client.end().catch(() => undefined);
	}
}
