import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import { volumeEntry } from "./catalogue.ts";
import { databaseName, databaseUser, type StackIdentity } from "./identity.ts";
import { type Secrets, secretPaths } from "./secrets.ts";
import { ServiceContainer } from "./service-container.ts";

export interface DatabaseArgs {
	readonly identity: StackIdentity;
	readonly image: pulumi.Input<string>;
	readonly dataNetwork: pulumi.Input<string>;
	/** Real name of the volume with the data. */
	readonly volume: pulumi.Input<string>;
	readonly secrets: Secrets;
	readonly memoryMb: number;
	readonly labels: Readonly<Record<string, string>>;
}

/** PostgreSQL 17 on its volume, with no capability at all and no network but `data`. */
export class Database extends pulumi.ComponentResource {
	readonly service: ServiceContainer;

	constructor(name: string, args: DatabaseArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:services:Database", name, {}, opts);
		this.service = new ServiceContainer(
			name,
			{
				identity: args.identity,
				service: "db",
				image: args.image,
				networks: { data: args.dataNetwork },
				memoryMb: args.memoryMb,
				labels: args.labels,
				// Ids of the official image; the stand-in has the same.
				user: "999:999",
				command: ["/usr/local/bin/start-database"],
				environment: {
					POSTGRES_DB: databaseName,
					POSTGRES_USER: databaseUser,
					POSTGRES_PASSWORD_FILE: secretPaths.databasePassword,
				},
				uploads: [
					args.secrets.upload("databasePassword"),
					{
						file: "/usr/local/bin/start-database",
						content: readFileSync(new URL("scripts/start-database.sh", import.meta.url), "utf8"),
						permissions: "0755",
					},
				],
				mounts: [{ type: "volume", source: args.volume, target: volumeEntry("postgres-data").mountPath }],
				tmpfs: { "/var/run/postgresql": "uid=999,gid=999,mode=0775", "/tmp": "mode=1777" },
				shmMb: 128,
				// Over TCP: the temporary server of a first start listens on the socket alone.
				healthcheck: {
					test: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", databaseUser, "-d", databaseName],
					intervalSeconds: 2,
					startPeriodSeconds: 120,
				},
				// Fast shutdown: open sessions are ended, and nothing has to be recovered at the next start.
				stopSignal: "SIGINT",
				stopSeconds: 60,
				waitSeconds: 300,
			},
			{ parent: this },
		);
		this.registerOutputs({});
	}
}
