/** Recovery points as values, for tests that need no container. */
import type { IndexFile } from "../../recovery/index-file.ts";
import type { Manifest, PointClass } from "../../recovery/manifest.ts";
import type { RecoveryPoint } from "../../recovery/points.ts";

export function manifest(over: Partial<Manifest> = {}): Manifest {
	return {
		formatVersion: 1,
		stack: "test",
		class: "daily",
		kind: "full",
		startedAt: "2026-01-01T02:00:00.000Z",
		snapshotAt: "2026-01-01T02:00:00.000Z",
		completedAt: "2026-01-01T02:00:01.000Z",
		timeZone: "UTC",
		compression: "gzip",
		images: {},
		database: {
			name: "backend_db",
			serverVersion: "17.0",
			major: 17,
			encoding: "UTF8",
			collate: "C",
			ctype: "C",
			localeProvider: "libc",
			locale: null,
			owner: "postgres",
			connectionLimit: -1,
			comment: null,
			acl: null,
			settings: [],
			extensions: {},
			rows: {},
		},
		parts: [{ name: "db_backup_20260101_020000.sql", holds: "database", size: 1, sha256: "0".repeat(64) }],
		warnings: [],
		...over,
	};
}

export function index(archive: string, over: Partial<IndexFile> = {}): IndexFile {
	return {
		formatVersion: 1,
		archive,
		size: 1,
		sha256: "0".repeat(64),
		encrypted: false,
		manifest: manifest(),
		verified: { ok: true, how: "content", at: "2026-01-01T02:00:02.000Z" },
		...over,
	};
}

export interface PointSketch {
	readonly ageDays: number;
	readonly class?: PointClass;
	readonly kind?: "full" | "database";
	readonly good?: boolean;
	/** `foreign`: another stack's; `no-index`: the old script's. */
	readonly whose?: "own" | "foreign" | "no-index";
}

export function point(sketch: PointSketch, now: Date, number = 0): RecoveryPoint {
	const own = sketch.whose ?? "own";
	return {
		file: `point-${number}`,
		kind: sketch.kind ?? "full",
		origin: own === "no-index" ? "no-index" : "indexed",
		stack: own === "own" ? "test" : own === "foreign" ? "other" : undefined,
		class: own === "no-index" ? undefined : (sketch.class ?? "daily"),
		createdAt: new Date(now.getTime() - sketch.ageDays * 86_400_000),
		size: 1,
		encrypted: false,
		verified: { ok: sketch.good ?? true, how: "content", at: now.toISOString() },
	};
}
