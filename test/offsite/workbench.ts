/** A backup directory with recovery points that look real, and an agent in this process that uploads them. */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GetObjectCommand, GetObjectTaggingCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { type AgentConfig, readConfig } from "../../agent/config.ts";
import { push } from "../../agent/offsite/push.ts";
import type { ProgressEvent } from "../../agent/progress.ts";
import type { RunContext } from "../../agent/recovery-point.ts";
import { indexText } from "../../recovery/index-file.ts";
import type { PointClass } from "../../recovery/manifest.ts";
import { stampOf } from "../../recovery/names.ts";
import type { OffsiteRecord } from "../../recovery/offsite.ts";
import { index, manifest } from "../recovery/fixtures.ts";
import { keys, region, type S3Server } from "./s3-servers.ts";

export interface Settings {
	readonly stack?: string;
	readonly minimumCopies?: number;
	readonly offsite?: Readonly<Record<string, unknown>>;
}

export class Workbench {
	readonly directory = mkdtempSync(join(tmpdir(), "offsitetest-"));
	readonly backups = join(this.directory, "backups");
	readonly credentials = join(this.directory, "credentials");
	readonly events: ProgressEvent[] = [];
	readonly server: S3Server;
	readonly bucket: string;
	stop = new AbortController();
	#endpoint: string;

	constructor(server: S3Server, bucket: string, endpoint = server.endpoint) {
		this.server = server;
		this.bucket = bucket;
		this.#endpoint = endpoint;
		mkdirSync(this.backups, { mode: 0o700 });
		this.writeKey();
	}

	writeKey({ accessKeyId, secretAccessKey } = keys): void {
		const text = `[default]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
		writeFileSync(this.credentials, text, { mode: 0o600 });
	}

	config({ stack = "test", minimumCopies = 3, offsite = {} }: Settings = {}): AgentConfig {
		return readConfig({
			AGENT_CONFIG: JSON.stringify({
				stack,
				retentionDays: { daily: 7, weekly: 28, manual: 30, safety: 14 },
				minimumCopies,
				backupDirectory: this.backups,
				offsite: {
					bucket: this.bucket,
					region,
					prefix: "persistent-stack",
					endpoint: this.#endpoint,
					forcePathStyle: true,
					retentionDays: 90,
					credentials: { source: "file", file: this.credentials },
					partMebibytes: 5,
					attempts: 4,
					pauseSeconds: 0.01,
					...offsite,
				},
			}),
		});
	}

	context(settings: Settings = {}): RunContext {
		this.stop = new AbortController();
		this.events.length = 0;
		return {
			config: this.config(settings),
			report: (event) => this.events.push(event),
			signal: this.stop.signal,
		};
	}

	push(settings: Settings = {}) {
		return push(this.context(settings));
	}

	/** A recovery point of random bytes; gives its file name. */
	point(size: number, at = new Date(), over: { stack?: string; class?: PointClass } = {}): string {
		const file = `full_backup_${stampOf(at, "UTC")}.tar.gz`;
		const bytes = randomBytes(size);
		writeFileSync(join(this.backups, file), bytes);
		const about = index(file, {
			size,
			sha256: createHash("sha256").update(bytes).digest("hex"),
			manifest: manifest({ startedAt: at.toISOString(), ...over }),
		});
		writeFileSync(join(this.backups, `${file}.json`), indexText(about));
		return file;
	}

	read(file: string): Buffer {
		return readFileSync(join(this.backups, file));
	}

	directoryEntries(): string[] {
		return readdirSync(this.backups).sort();
	}

	record(stack = "test"): OffsiteRecord {
		return JSON.parse(readFileSync(join(this.backups, `.${stack}.offsite.json`), "utf8"));
	}

	/** Names of the objects under a stack's prefix. */
	async objects(stack = "test"): Promise<string[]> {
		const Prefix = `persistent-stack/${stack}/`;
		const { Contents = [] } = await this.server.client.send(
			new ListObjectsV2Command({ Bucket: this.bucket, Prefix }),
		);
		return Contents.map(({ Key = "" }) => Key.slice(Prefix.length)).sort();
	}

	async stored(name: string): Promise<Buffer> {
		const Key = `persistent-stack/test/${name}`;
		const { Body } = await this.server.client.send(new GetObjectCommand({ Bucket: this.bucket, Key }));
		return Buffer.from((await Body?.transformToByteArray()) ?? []);
	}

	async tags(name: string): Promise<Record<string, string>> {
		const Key = `persistent-stack/test/${name}`;
		const { TagSet = [] } = await this.server.client.send(
			new GetObjectTaggingCommand({ Bucket: this.bucket, Key }),
		);
		return Object.fromEntries(TagSet.map(({ Key: name = "", Value = "" }) => [name, Value]));
	}

	remove(): void {
		rmSync(this.directory, { recursive: true, force: true });
	}
}
