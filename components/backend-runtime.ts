/** What the backend's program finds around it, in its container and in the one-off container of a migration. */
import { databaseName, databaseUser } from "./identity.ts";
import { type SecretName, secretPaths } from "./secrets.ts";
import { type StackSettings, splitAssignment } from "./settings.ts";

/** `uid:gid` of the application in its image; not root, and no id that Debian gives out. */
export const backendUser = "10001:10001";
export const backendPort = 8000;
/** Where the application writes log files; a directory of the host. */
export const backendLogMount = "/app/logs";
export const backendSecrets: readonly SecretName[] = ["databasePassword", "redisPassword", "djangoSecretKey"];

export function backendEnvironment(settings: StackSettings): Record<string, string> {
	const development = settings.mode === "development";
	return {
		DATABASE_HOST: "db",
		DATABASE_PORT: "5432",
		DATABASE_NAME: databaseName,
		DATABASE_USER: databaseUser,
		DATABASE_PASSWORD_FILE: secretPaths.databasePassword,
		REDIS_HOST: "redis",
		REDIS_PORT: "6379",
		REDIS_PASSWORD_FILE: secretPaths.redisPassword,
		DJANGO_SECRET_KEY_FILE: secretPaths.djangoSecretKey,
		DJANGO_DEBUG: development ? "1" : "0",
		DJANGO_ALLOWED_HOSTS: ["127.0.0.1", "localhost", ...settings.allowedHosts].join(","),
		DJANGO_LOG_DIR: backendLogMount,
		...(development ? { GUNICORN_CMD_ARGS: "--reload" } : {}),
		...Object.fromEntries(settings.backendEnvironment.map(splitAssignment)),
	};
}
