/** Names of recovery points: the specification's, with the time of the settings' time zone in them. */
import type { Compression, PointKind } from "./manifest.ts";

/** What a file name says. */
export interface PointName {
	readonly kind: PointKind;
	/** `YYYYMMDD_HHMMSS`. */
	readonly stamp: string;
	/** Absent for a database backup, which is plain SQL. */
	readonly compression?: Compression;
	readonly encrypted: boolean;
}

const pattern = /^(?:full_backup_(\d{8}_\d{6})\.tar\.(gz|zst)|db_backup_(\d{8}_\d{6})\.sql)(\.age)?$/;
const endings: Readonly<Record<Compression, string>> = { gzip: "tar.gz", zstd: "tar.zst" };

/** Name of the link to the newest verified full backup. */
export const latestName = "latest.tar.gz";

export function pointFileName(name: PointName): string {
	const base =
		name.kind === "full"
			? `full_backup_${name.stamp}.${endings[name.compression ?? "gzip"]}`
			: `db_backup_${name.stamp}.sql`;
	return name.encrypted ? `${base}.age` : base;
}

/** What the name of a recovery point says; undefined for any other file. */
export function parsePointName(file: string): PointName | undefined {
	const match = pattern.exec(file);
	if (!match) return undefined;
	const [, full, ending, database, age] = match;
	const stamp = (full ?? database) as string;
	if (!isTime(stamp)) return undefined;
	return {
		kind: full ? "full" : "database",
		stamp,
		compression: full ? (ending === "zst" ? "zstd" : "gzip") : undefined,
		encrypted: age !== undefined,
	};
}

/** Names of the parts of a recovery point. */
export function partNames(stamp: string, compression: Compression) {
	const ending = endings[compression];
	return {
		database: `db_backup_${stamp}.sql`,
		globals: `globals_backup_${stamp}.sql`,
		redis: `redis_backup_${stamp}.rdb`,
		files: (part: string) => `${part}_backup_${stamp}.${ending}`,
		manifest: "manifest.json",
	};
}

/** `YYYYMMDD_HHMMSS` of an instant in a time zone. */
export function stampOf(instant: Date, timeZone: string): string {
	const parts = Object.fromEntries(
		formatter(timeZone)
			.formatToParts(instant)
			.map((p) => [p.type, p.value]),
	);
	return `${parts.year}${parts.month}${parts.day}_${parts.hour}${parts.minute}${parts.second}`;
}

/**
 * The instant that a stamp means in a time zone. In the hour that a clock change repeats it is the first of
 * the two; in the hour that it skips, the instant as far before it.
 */
export function instantOf(stamp: string, timeZone: string): Date {
	const wanted = asUtc(stamp);
	let guess = wanted;
	for (let round = 0; round < 3; round++) guess += wanted - asUtc(stampOf(new Date(guess), timeZone));
	const earlier = guess - 3_600_000;
	return new Date(stampOf(new Date(earlier), timeZone) === stamp ? earlier : guess);
}

/**
 * The stamp of a new recovery point.
 *
 * @param taken names of files that exist.
 * @throws Error when a recovery point of this second exists: nothing is ever overwritten. Where a clock change
 *   repeats an hour, that is possible without two runs in one second.
 */
export function freshStamp(now: Date, timeZone: string, taken: Iterable<string>): string {
	const stamp = stampOf(now, timeZone);
	for (const file of taken) {
		if (file.includes(stamp)) {
			throw new NameTakenError(
				`a recovery point of ${stamp} (${timeZone}) exists: ${file}; it was left as it is`,
			);
		}
	}
	return stamp;
}

export class NameTakenError extends Error {
	override readonly name = "NameTakenError";
}

function formatter(timeZone: string): Intl.DateTimeFormat {
	return new Intl.DateTimeFormat("en-US", {
		timeZone,
		hourCycle: "h23",
		calendar: "gregory",
		numberingSystem: "latn",
		year: "numeric",
		month: "2-digit",
		day: "2-digit",
		hour: "2-digit",
		minute: "2-digit",
		second: "2-digit",
	});
}

function asUtc(stamp: string): number {
	const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)$/.exec(stamp) ?? [];
	return Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s));
}

function isTime(stamp: string): boolean {
	const time = asUtc(stamp);
	return !Number.isNaN(time) && stampOf(new Date(time), "UTC") === stamp;
}
