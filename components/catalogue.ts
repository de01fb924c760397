/**
 * The volume catalogue: the one place that says which data this stack keeps.
 *
 * Mounts, removal options, the preview guard, `stack volumes`, the clean commands, the backup plan,
 * the guarantee tests and the README table are all derived from this table.
 */

/** How bad it is to lose the content of a volume. */
export type DataClass = "critical" | "important" | "regenerable" | "optional";

/** How often the content of a volume ought to be backed up; the words are the specification's. */
export type BackupPriority = "highest" | "medium" | "low" | "none";

/** What a recovery point holds of a volume, or `none` when a backup leaves it out. */
export type BackupMethod = "database-dump" | "redis-snapshot" | "file-archive" | "none";

/** The operator's commands that empty a volume on purpose, besides `clean-all`, which removes them all. */
export type CleanVerb = "clean-cache" | "clean-logs";

export interface VolumeEntry {
	/** Stable identity: logical resource name, label value and suffix of the volume's name. Never edited. */
	readonly key: string;
	/** The service whose container owns the content. */
	readonly service: ServiceName;
	/** Path at which the owning service mounts the volume. */
	readonly mountPath: string;
	/** What the volume is for, a few words. */
	readonly purpose: string;
	/** What is in it, for whoever decides whether it may go. */
	readonly holds: readonly string[];
	/** Size that is usual, as the specification gives it. */
	readonly typicalSize: string;
	readonly dataClass: DataClass;
	readonly backupPriority: BackupPriority;
	readonly backup: BackupMethod;
	/** How the content comes back without a backup; absent where it cannot. */
	readonly regeneratedBy?: string;
	/** The clean command, other than clean-all, that removes it. */
	readonly cleanedBy?: CleanVerb;
	/** Mark before the name in listings. */
	readonly symbol: string;
	/** One line for the third section of `stack volumes`. */
	readonly summary: string;
}

/** The services of the stack, in the order in which they start. */
export const serviceNames = ["db", "redis", "backend", "frontend", "proxy", "backup"] as const;
export type ServiceName = (typeof serviceNames)[number];

export const volumeCatalogue = [
	{
		key: "postgres-data",
		service: "db",
		mountPath: "/var/lib/postgresql/data",
		purpose: "PostgreSQL database",
		holds: [
			"user accounts and authentication data",
			"application records and business data",
			"schema and migration history",
			"PostgreSQL system catalogs",
		],
		typicalSize: "100MB-10GB",
		dataClass: "critical",
		backupPriority: "highest",
		backup: "database-dump",
		symbol: "📊",
		summary: "Database records (PostgreSQL data)",
	},
	{
		key: "redis-data",
		service: "redis",
		mountPath: "/data",
		purpose: "Redis persistence",
		holds: ["sessions", "cached query results", "task queue", "rate limiting counters"],
		typicalSize: "10MB-1GB",
		dataClass: "important",
		backupPriority: "medium",
		backup: "redis-snapshot",
		regeneratedBy: "use of the application; users log in again and queued tasks are lost",
		cleanedBy: "clean-cache",
		symbol: "📊",
		summary: "Cache and queue data (Redis persistence)",
	},
	{
		key: "backend-media",
		service: "backend",
		mountPath: "/app/media",
		purpose: "User uploads",
		holds: ["profile images", "document uploads", "generated reports", "any content users submit"],
		typicalSize: "varies",
		dataClass: "critical",
		backupPriority: "highest",
		backup: "file-archive",
		symbol: "📁",
		summary: "User uploaded files and media",
	},
	{
		key: "backend-static",
		service: "backend",
		mountPath: "/app/staticfiles",
		purpose: "Static files",
		holds: ["Django admin CSS and JavaScript", "library assets", "the application's static files"],
		typicalSize: "10MB-100MB",
		dataClass: "regenerable",
		backupPriority: "low",
		backup: "file-archive",
		regeneratedBy: "collectstatic, when the backend starts",
		symbol: "📁",
		summary: "Collected static files (CSS, JS, images)",
	},
	{
		key: "frontend-node-modules",
		service: "frontend",
		mountPath: "/app/node_modules",
		purpose: "NPM packages",
		holds: ["React, Vite and development dependencies", "TypeScript compiler and tools"],
		typicalSize: "200MB-500MB",
		dataClass: "regenerable",
		backupPriority: "none",
		backup: "none",
		regeneratedBy: "package-lock.json, when the frontend starts",
		symbol: "📦",
		summary: "Frontend dependencies (npm packages)",
	},
	{
		key: "proxy-logs",
		service: "proxy",
		mountPath: "/var/log/nginx",
		purpose: "Nginx logs",
		holds: ["HTTP request logs", "error logs"],
		typicalSize: "10MB-1GB",
		dataClass: "optional",
		backupPriority: "low",
		backup: "none",
		regeneratedBy: "nginx, with new requests; what was logged is gone",
		cleanedBy: "clean-logs",
		symbol: "📝",
		summary: "Nginx access and error logs",
	},
] as const satisfies readonly VolumeEntry[];

export type VolumeKey = (typeof volumeCatalogue)[number]["key"];

/** Whether losing the volume's content loses something that does not come back by itself. */
export function isPrecious(entry: Pick<VolumeEntry, "dataClass">): boolean {
	return entry.dataClass === "critical" || entry.dataClass === "important";
}

/** The catalogue's entry for a key. */
export function volumeEntry(key: VolumeKey): VolumeEntry {
	return volumeCatalogue.find((entry) => entry.key === key) as VolumeEntry;
}
