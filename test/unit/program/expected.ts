/**
 * What each kind of stack consists of, written out. Nothing here is computed by the program's own code: a
 * change of the declaration has to be made here too, by someone who means it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "@jest/globals";
import { programDirectory } from "../../../components/directories.ts";
import {
	credentialsUpload,
	expectedOffsitePolicy,
	offsiteComponents,
	offsiteCounts,
	offsiteInputs,
} from "./expected-offsite.ts";
import { secretMark } from "./record.ts";

export interface Kind {
	readonly stack: "dev" | "staging" | "prod";
	readonly prefix: string;
	readonly port: number;
	readonly development: boolean;
	/** Days for which daily recovery points are kept. */
	readonly retentionDays: number;
	/** Directory of the recovery points. */
	readonly backups: string;
	/** Directory of the backend's log files. */
	readonly logs: string;
	/** Whether there is an offsite bucket, as expected-offsite.ts has it. */
	readonly offsite: boolean;
}

export const kinds: readonly Kind[] = [
	{
		stack: "dev",
		prefix: "app",
		port: 8080,
		development: true,
		retentionDays: 7,
		backups: "/srv/shop/backups",
		logs: "/srv/shop/backend/logs",
		offsite: false,
	},
	{
		stack: "staging",
		prefix: "app-staging",
		port: 8081,
		development: false,
		retentionDays: 14,
		backups: "/srv/shop/backups/staging",
		logs: "/srv/shop/backend/logs-staging",
		offsite: false,
	},
	{
		stack: "prod",
		prefix: "app-prod",
		port: 8082,
		development: false,
		retentionDays: 30,
		backups: "/srv/shop/backups/prod",
		logs: "/srv/shop/backend/logs-prod",
		offsite: true,
	},
];

/** Type and logical name of every component with its parent. */
export function expectedComponents({
	offsite,
}: Kind): (readonly [type: string, name: string, parent: string])[] {
	return offsite ? [...components, ...offsiteComponents] : [...components];
}

const components: readonly (readonly [type: string, name: string, parent: string])[] = [
	["persistent-stack:index:PersistentStack", "stack", ""],
	["persistent-stack:host:EngineRecord", "stack-engine-record", "stack"],
	["persistent-stack:docker:DataVolumes", "stack-volumes", "stack"],
	["persistent-stack:docker:Networks", "stack-networks", "stack"],
	["persistent-stack:random:Secrets", "stack-secrets", "stack"],
	["persistent-stack:docker:Images", "stack-images", "stack"],
	["persistent-stack:host:HostDirectories", "stack-host", "stack"],
	["persistent-stack:services:Database", "stack-db", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-db", "stack-db"],
	["persistent-stack:services:Cache", "stack-redis", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-redis", "stack-redis"],
	["persistent-stack:services:Migrations", "stack-migrations", "stack"],
	["persistent-stack:services:Backend", "stack-backend", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-backend", "stack-backend"],
	["persistent-stack:services:Frontend", "stack-frontend", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-frontend", "stack-frontend"],
	["persistent-stack:services:Proxy", "stack-proxy", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-proxy", "stack-proxy"],
	["persistent-stack:services:Backup", "stack-backup", "stack"],
	["persistent-stack:docker:ServiceContainer", "stack-backup", "stack-backup"],
	["persistent-stack:services:SmokeCheck", "stack-smoke", "stack"],
	["persistent-stack:host:DestroyGuard", "stack-destroy-guard", "stack"],
];

/** How many objects of each type an engine makes, and no other types. */
export function expectedCounts({ offsite }: Kind): Record<string, number> {
	return offsite ? { ...counts, ...offsiteCounts, "docker:index/network:Network": 3 } : { ...counts };
}

const counts: Readonly<Record<string, number>> = {
	"docker:index/volume:Volume": 6,
	"docker:index/network:Network": 2,
	"docker:index/container:Container": 6,
	"docker:index/remoteImage:RemoteImage": 3,
	"docker:index/image:Image": 3,
	"random:index/randomPassword:RandomPassword": 3,
	"command:local:Command": 6,
};

type Inputs = Readonly<Record<string, unknown>>;

/** Exact inputs of every object, by logical name. */
export function expectedInputs(kind: Kind): Readonly<Record<string, Inputs>> {
	return {
		...volumes(kind),
		...networks(kind),
		...images(kind),
		"stack-secrets-database-password": { length: 40, special: false },
		"stack-secrets-redis-password": { length: 40, special: false },
		"stack-secrets-django-secret-key": { length: 64, special: false },
		...commands(kind),
		"stack-db-container": { ...hardened(kind, "db", 1024, 60), ...database(kind) },
		"stack-redis-container": { ...hardened(kind, "redis", 256, 30), ...cache(kind) },
		"stack-backend-container": { ...hardened(kind, "backend", 512, 40), ...backend(kind) },
		"stack-frontend-container": { ...hardened(kind, "frontend", 1024, 10), ...frontend(kind) },
		"stack-proxy-container": { ...hardened(kind, "proxy", 128, 30), ...proxy(kind) },
		"stack-backup-container": { ...hardened(kind, "backup", 256, 30), ...backup(kind) },
		...(kind.offsite && offsiteInputs),
	};
}

function volumes({ stack, prefix }: Kind): Record<string, Inputs> {
	const volume = (key: string): Inputs => ({
		name: `${prefix}-${key}`,
		driver: "local",
		labels: [
			{ label: "persistent-stack.owner", value: `persistent-stack/${stack}` },
			{ label: "persistent-stack.volume", value: key },
		],
	});
	return {
		"stack-volumes-postgres-data": volume("postgres-data"),
		"stack-volumes-redis-data": volume("redis-data"),
		"stack-volumes-backend-media": volume("backend-media"),
		"stack-volumes-backend-static": volume("backend-static"),
		"stack-volumes-frontend-node-modules": volume("frontend-node-modules"),
		"stack-volumes-proxy-logs": volume("proxy-logs"),
	};
}

function networks({ stack, prefix, offsite }: Kind): Record<string, Inputs> {
	const labels = [{ label: "persistent-stack.owner", value: `persistent-stack/${stack}` }];
	return {
		"stack-networks-edge": { name: `${prefix}-edge`, driver: "bridge", internal: false, labels },
		"stack-networks-data": { name: `${prefix}-data`, driver: "bridge", internal: true, labels },
		...(offsite && {
			"stack-networks-egress": { name: `${prefix}-egress`, driver: "bridge", internal: false, labels },
		}),
	};
}

function images({ prefix, development }: Kind): Record<string, Inputs> {
	const pulled = (name: string): Inputs => ({ name, keepLocally: true });
	const built = (service: string, build: Inputs): Inputs => ({
		imageName: `${prefix}-${service}:current`,
		build: {
			context: `/srv/shop/app/${service}`,
			dockerfile: `/srv/shop/images/${service}/Dockerfile`,
			platform: "linux/arm64",
			...build,
		},
		buildOnPreview: false,
		skipPush: true,
	});
	return {
		"stack-images-postgres": pulled("pg:17"),
		"stack-images-redis": pulled("rd:8"),
		"stack-images-nginx": pulled("ng:1"),
		"stack-images-backend": built("backend", { args: { PYTHON_IMAGE: "py:3" } }),
		"stack-images-frontend": built("frontend", {
			args: { NODE_IMAGE: "no:24", NGINX_IMAGE: "ng:1" },
			target: development ? "development" : "production",
		}),
		"stack-images-backup": built("backup", {
			context: programDirectory,
			dockerfile: join(programDirectory, "images/backup/Dockerfile"),
			args: { POSTGRES_IMAGE: "pg:17", REDIS_IMAGE: "rd:8", NODE_IMAGE: "no:24" },
		}),
	};
}

function commands({ stack, prefix, development, backups, logs }: Kind): Record<string, Inputs> {
	const script = (name: string) => readFileSync(join(programDirectory, "components/scripts", name), "utf8");
	return {
		"stack-engine-record-write": {
			create: script("record-engine.sh"),
			delete: 'rm -f "$RECORD"',
			environment: { RECORD: `/srv/shop/.stack/${stack}/applied-by`, ENGINE: "local" },
		},
		"stack-host-make": {
			create: script("make-directories.sh"),
			environment: {
				DIRECTORIES: [
					`700 ${backups}`,
					`755 ${logs}`,
					...(development
						? [
								"755 /srv/shop/app/backend/media",
								"755 /srv/shop/app/backend/staticfiles",
								"755 /srv/shop/app/backend/logs",
								"755 /srv/shop/app/frontend/node_modules",
							]
						: []),
				].join("\n"),
				BACKEND_LOGS: logs,
				BACKEND_USER: "10001:10001",
				HELPER_IMAGE: "sha256:pulled-pg:17",
			},
		},
		"stack-backup-images": {
			create: script("record-images.sh"),
			environment: {
				RECORD: `${backups}/.${stack}.images.json`,
				IMAGES: JSON.stringify({
					postgres: "pg:17@sha256:pulled-pg:17",
					redis: "rd:8@sha256:pulled-rd:8",
					nginx: "ng:1@sha256:pulled-ng:1",
					backend: `${prefix}-backend:current@sha256:built-stack-images-backend`,
					frontend: `${prefix}-frontend:current@sha256:built-stack-images-frontend`,
					backup: `${prefix}-backup:current@sha256:built-stack-images-backup`,
				}),
			},
		},
		"stack-migrations-run": {
			create: script("migrate.sh"),
			environment: {
				CONTAINER: `${prefix}-migrate`,
				OWNER_LABEL: `persistent-stack.owner=persistent-stack/${stack}`,
				IMAGE: "sha256:built-stack-images-backend",
				NETWORK: `${prefix}-data`,
				BACKEND_USER: "10001:10001",
				SOURCE: development ? "/srv/shop/app/backend" : "",
				VARIABLES: backendVariables(development).join("\n"),
				MIGRATE: "python manage.py migrate --noinput",
				databasePassword: `${secretMark}-stack-secrets-database-password`,
				redisPassword: `${secretMark}-stack-secrets-redis-password`,
				djangoSecretKey: `${secretMark}-stack-secrets-django-secret-key`,
			},
			triggers: ["sha256:built-stack-images-backend", "python manage.py migrate --noinput"],
		},
		"stack-smoke-run": {
			create: script("smoke-check.sh"),
			environment: {
				PROXY: `${prefix}-proxy`,
				ORIGIN: "http://127.0.0.1:8080",
				PATHS: "/api/healthz /",
			},
			triggers: [
				"sha256:built-stack-images-backend",
				"sha256:built-stack-images-frontend",
				"sha256:pulled-ng:1",
			],
		},
		"stack-destroy-guard-check": {
			create: ":",
			...(stack === "prod" && {
				delete:
					'echo "stack prod is protected: nothing was deleted. To lift the protection, set removalPolicy: retain or remove in Pulumi.prod.yaml and run up, then try again." >&2; exit 1',
			}),
		},
	};
}

/** What every container has: its name, its labels, no privileges, limits, log rotation, a clean stop, a wait. */
function hardened({ stack, prefix }: Kind, service: string, memory: number, stopSeconds: number): Inputs {
	return {
		name: `${prefix}-${service}`,
		labels: [
			{ label: "persistent-stack.owner", value: `persistent-stack/${stack}` },
			{ label: "persistent-stack.service", value: service },
		],
		networkMode: "bridge",
		capabilities: { drops: ["ALL"] },
		securityOpts: ["no-new-privileges:true"],
		init: true,
		memory,
		memorySwap: memory,
		ulimits: [{ name: "nproc", soft: 4096, hard: 4096 }],
		logDriver: "json-file",
		logOpts: { "max-size": "10m", "max-file": "3" },
		restart: "unless-stopped",
		stopTimeout: stopSeconds,
		destroyGraceSeconds: stopSeconds,
		wait: true,
		mustRun: true,
	};
}

const on = (network: string, alias: string) => ({ name: network, aliases: [alias] });
const secretFile = (file: string, secret: string) => ({
	file: `/run/secrets/${file}`,
	content: `${secretMark}-stack-secrets-${secret}`,
	permissions: "0444",
});

function database({ prefix }: Kind): Inputs {
	return {
		image: "sha256:pulled-pg:17",
		user: "999:999",
		command: ["/usr/local/bin/start-database"],
		envs: [
			"POSTGRES_DB=backend_db",
			"POSTGRES_USER=postgres",
			"POSTGRES_PASSWORD_FILE=/run/secrets/database_password",
		],
		networksAdvanced: [on(`${prefix}-data`, "db")],
		mounts: [{ type: "volume", source: `${prefix}-postgres-data`, target: "/var/lib/postgresql/data" }],
		tmpfs: { "/var/run/postgresql": "uid=999,gid=999,mode=0775", "/tmp": "mode=1777" },
		uploads: [
			secretFile("database_password", "database-password"),
			{
				file: "/usr/local/bin/start-database",
				content: readFileSync(join(programDirectory, "components/scripts/start-database.sh"), "utf8"),
				permissions: "0755",
			},
		],
		readOnly: false,
		shmSize: 128,
		healthcheck: {
			tests: ["CMD", "pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres", "-d", "backend_db"],
			interval: "2s",
			timeout: "5s",
			startPeriod: "2m0s",
			retries: 6,
		},
		stopSignal: "SIGINT",
		waitTimeout: 300,
	};
}

function cache({ prefix }: Kind): Inputs {
	return {
		image: "sha256:pulled-rd:8",
		user: "999:999",
		command: ["redis-server", "/usr/local/etc/redis/redis.conf"],
		envs: [],
		networksAdvanced: [on(`${prefix}-data`, "redis")],
		mounts: [{ type: "volume", source: `${prefix}-redis-data`, target: "/data" }],
		uploads: [
			secretFile("redis_password", "redis-password"),
			{
				file: "/usr/local/etc/redis/redis.conf",
				content: [
					"dir /data",
					`requirepass ${secretMark}-stack-secrets-redis-password`,
					"appendonly yes",
					"appendfsync everysec",
					"maxmemory 192mb",
					"maxmemory-policy volatile-lru",
					"repl-diskless-sync-delay 0",
					"",
				].join("\n"),
				permissions: "0444",
			},
		],
		readOnly: false,
		healthcheck: {
			tests: [
				"CMD-SHELL",
				'REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli ping | grep -q PONG',
			],
			interval: "2s",
			timeout: "5s",
			startPeriod: "1m0s",
			retries: 6,
		},
		waitTimeout: 120,
	};
}

function backup({ stack, prefix, backups, retentionDays, offsite }: Kind): Inputs {
	const policy = {
		stack,
		timeZone: "UTC",
		schedules: { daily: "0 2 * * *", weekly: "0 3 * * 0" },
		retentionDays: { daily: retentionDays, weekly: 28, manual: 30, safety: 14 },
		minimumCopies: 3,
		compression: "gzip",
		recipients: [],
		alarms: { onSuccess: true, diskPercent: 85, volumeGb: 10 },
		metricsPort: 0,
		...(offsite && { offsite: expectedOffsitePolicy }),
	};
	return {
		image: "sha256:built-stack-images-backup",
		capabilities: { drops: ["ALL"], adds: ["CAP_DAC_READ_SEARCH", "CAP_SETGID", "CAP_SETUID"] },
		envs: [
			`AGENT_CONFIG=${JSON.stringify(policy)}`,
			"DATABASE_HOST=db",
			"DATABASE_NAME=backend_db",
			"DATABASE_USER=postgres",
			"DATABASE_PASSWORD_FILE=/run/secrets/database_password",
			"REDIS_HOST=redis",
			"REDIS_PASSWORD_FILE=/run/secrets/redis_password",
		],
		networksAdvanced: [
			on(`${prefix}-data`, "backup"),
			...(offsite ? [on(`${prefix}-egress`, "backup")] : []),
		],
		mounts: [
			{ type: "bind", source: backups, target: "/backups" },
			{ type: "volume", source: `${prefix}-backend-media`, target: "/data/media", readOnly: true },
			{ type: "volume", source: `${prefix}-backend-static`, target: "/data/static", readOnly: true },
		],
		tmpfs: { "/tmp": "mode=1777", "/var/lib/postgresql/data": "size=64k" },
		uploads: [
			secretFile("database_password", "database-password"),
			secretFile("redis_password", "redis-password"),
			...(offsite ? [credentialsUpload] : []),
		],
		readOnly: false,
		healthcheck: {
			tests: ["CMD", "agent", "health"],
			interval: "1m0s",
			timeout: "30s",
			startPeriod: "30s",
			retries: 2,
		},
		wait: false,
		waitTimeout: 120,
	};
}

function backendVariables(development: boolean): string[] {
	return [
		"DATABASE_HOST=db",
		"DATABASE_PORT=5432",
		"DATABASE_NAME=backend_db",
		"DATABASE_USER=postgres",
		"DATABASE_PASSWORD_FILE=/run/secrets/database_password",
		"REDIS_HOST=redis",
		"REDIS_PORT=6379",
		"REDIS_PASSWORD_FILE=/run/secrets/redis_password",
		"DJANGO_SECRET_KEY_FILE=/run/secrets/django_secret_key",
		development ? "DJANGO_DEBUG=1" : "DJANGO_DEBUG=0",
		"DJANGO_ALLOWED_HOSTS=127.0.0.1,localhost",
		"DJANGO_LOG_DIR=/app/logs",
		...(development ? ["GUNICORN_CMD_ARGS=--reload"] : []),
	];
}

function backend({ prefix, development, logs }: Kind): Inputs {
	return {
		image: "sha256:built-stack-images-backend",
		user: "10001:10001",
		envs: backendVariables(development),
		networksAdvanced: [on(`${prefix}-edge`, "backend"), on(`${prefix}-data`, "backend")],
		mounts: [
			...(development ? [{ type: "bind", source: "/srv/shop/app/backend", target: "/app" }] : []),
			{ type: "volume", source: `${prefix}-backend-media`, target: "/app/media" },
			{ type: "volume", source: `${prefix}-backend-static`, target: "/app/staticfiles" },
			{ type: "bind", source: logs, target: "/app/logs" },
		],
		tmpfs: { "/tmp": "mode=1777" },
		uploads: [
			secretFile("database_password", "database-password"),
			secretFile("redis_password", "redis-password"),
			secretFile("django_secret_key", "django-secret-key"),
		],
		readOnly: false,
		healthcheck: {
			tests: [
				"CMD",
				"python3",
				"-c",
				'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8000/api/healthz", timeout=8)',
			],
			interval: "5s",
			timeout: "10s",
			startPeriod: "1m0s",
			retries: 6,
		},
		waitTimeout: 180,
	};
}

function frontend({ prefix, development }: Kind): Inputs {
	return {
		image: "sha256:built-stack-images-frontend",
		user: development ? "1000:1000" : "101:101",
		envs: [],
		networksAdvanced: [on(`${prefix}-edge`, "frontend")],
		mounts: development
			? [
					{ type: "bind", source: "/srv/shop/app/frontend", target: "/app", readOnly: true },
					{ type: "volume", source: `${prefix}-frontend-node-modules`, target: "/app/node_modules" },
				]
			: [],
		tmpfs: { "/tmp": "mode=1777" },
		readOnly: true,
		healthcheck: {
			tests: development
				? [
						"CMD",
						"node",
						"-e",
						'fetch("http://127.0.0.1:5173/").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))',
					]
				: ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/healthz"],
			interval: "5s",
			timeout: "5s",
			startPeriod: "2m0s",
			retries: 6,
		},
		waitTimeout: 300,
	};
}

function proxy({ prefix, port, development }: Kind): Inputs {
	return {
		image: "sha256:pulled-ng:1",
		capabilities: { drops: ["ALL"], adds: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"] },
		command: ["sh", "-c", readFileSync(join(programDirectory, "components/scripts/start-proxy.sh"), "utf8")],
		// What else is in the configuration is the subject of nginx-config.test.ts.
		envs: [
			expect.stringContaining(development ? "set $frontend frontend:5173;" : "set $frontend frontend:8080;"),
		],
		networksAdvanced: [on(`${prefix}-edge`, "proxy")],
		mounts: [
			{ type: "volume", source: `${prefix}-backend-media`, target: "/srv/media", readOnly: true },
			{ type: "volume", source: `${prefix}-backend-static`, target: "/srv/static", readOnly: true },
			{ type: "volume", source: `${prefix}-proxy-logs`, target: "/var/log/nginx" },
		],
		tmpfs: { "/tmp": "mode=1777" },
		ports: [{ internal: 8080, external: port, ip: "127.0.0.1", protocol: "tcp" }],
		readOnly: true,
		healthcheck: {
			tests: ["CMD", "curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/proxy-healthz"],
			interval: "2s",
			timeout: "5s",
			startPeriod: "30s",
			retries: 6,
		},
		stopSignal: "SIGQUIT",
		waitTimeout: 120,
	};
}
