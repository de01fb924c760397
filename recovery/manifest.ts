/** The manifest: what a recovery point holds, so that it can be checked against itself. Last in the archive. */
import * as z from "zod";

export const formatVersion = 1;

export const pointClasses = ["daily", "weekly", "manual", "safety"] as const;
/** Why a recovery point was made; each class has its own days. */
export type PointClass = (typeof pointClasses)[number];
export const safetyOccasions = ["restore", "clean-all", "migration"] as const;
/** What a safety backup was made before. */
export type SafetyOccasion = (typeof safetyOccasions)[number];
/** `full`: everything; `database`: the dump alone. */
export type PointKind = "full" | "database";
export type Compression = "gzip" | "zstd";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().min(0);
const instant = z.iso.datetime();

const partSchema = z.object({
	/** File name in the archive. */
	name: z.string().regex(/^[\w.-]+$/),
	/** What it is: `database`, `globals`, `redis`, or the name of an archive of files, such as `media`. */
	holds: z.string(),
	/** Bytes, as they lie in the archive. */
	size: count,
	sha256,
	/** In an archive of files: entries of every kind, a file that had to be read again counted each time. */
	entries: count.optional(),
	/** In an archive of files: files, links and devices, each once; directories not counted. */
	files: count.optional(),
	/** In an archive of files: bytes when unpacked; not noted by older versions. */
	content: count.optional(),
});

const databaseSchema = z.object({
	name: z.string(),
	/** As the server says it, such as `17.12`. */
	serverVersion: z.string(),
	major: count,
	encoding: z.string(),
	collate: z.string(),
	ctype: z.string(),
	/** `libc`, `icu` or `builtin`. */
	localeProvider: z.string(),
	/** Locale of ICU or the built-in provider. */
	locale: z.string().nullable(),
	owner: z.string(),
	connectionLimit: z.number().int(),
	comment: z.string().nullable(),
	/** Access rights, in PostgreSQL's own notation; null where they are the default. */
	acl: z.array(z.string()).nullable(),
	/** What ALTER DATABASE SET and ALTER ROLE IN DATABASE SET have set. Role `null`: for everybody. */
	settings: z.array(z.object({ role: z.string().nullable(), values: z.array(z.string()) })),
	extensions: z.record(z.string(), z.string()),
	/** Bytes on the server's disk; not noted by older versions. */
	size: count.optional(),
	/** Rows per table, `schema.table` quoted as SQL needs it, counted in the snapshot of the dump. */
	rows: z.record(z.string(), count),
});

export const manifestSchema = z.object({
	formatVersion: z.literal(formatVersion),
	stack: z.string(),
	class: z.enum(pointClasses),
	/** Of a safety backup. */
	before: z.enum(safetyOccasions).optional(),
	kind: z.enum(["full", "database"]),
	/** Start of the run: no write before it is missing. */
	startedAt: instant,
	/** When the database's snapshot was taken: no row written after it is in the dump. */
	snapshotAt: instant,
	/** When the last part was complete. */
	completedAt: instant,
	timeZone: z.string(),
	compression: z.enum(["gzip", "zstd", "none"]),
	/** Images of the stack by service, as `name@id`. */
	images: z.record(z.string(), z.string()),
	database: databaseSchema,
	parts: z.array(partSchema).min(1),
	/** What a person ought to know: files that would not hold still, sockets left out. */
	warnings: z.array(z.string()),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestPart = z.infer<typeof partSchema>;
export type DatabaseFacts = z.infer<typeof databaseSchema>;

/** @throws Error saying what is wrong with it. */
export function parseManifest(text: string): Manifest {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Error("the manifest is not JSON");
	}
	const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
	if (typeof version === "number" && version > formatVersion) {
		throw new Error(
			`the manifest is of format ${version}, and this program knows ${formatVersion}: use a newer one`,
		);
	}
	const parsed = manifestSchema.safeParse(value);
	if (parsed.success) return parsed.data;
	const [issue] = parsed.error.issues;
	throw new Error(`the manifest is not valid: ${issue?.path.join(".")}: ${issue?.message}`);
}
