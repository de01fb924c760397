/** Django's management commands, in the backend's container. */
import { statSync } from "node:fs";
import type { Invocation, VerbContext } from "../context.ts";
import { runningContainer } from "../docker.ts";
import { StackError } from "../errors.ts";
import { backupBeforeMigration } from "../make-backup.ts";
import { execIn } from "./exec.ts";

/** Where the source is in the container. */
const sourceMount = "/app";

export async function backendShell(context: VerbContext, { arguments: args }: Invocation): Promise<number> {
	return await execIn(context, "backend", ["python", "manage.py", "shell", ...args]);
}

/** Arguments with which manage.py migrate changes nothing. */
const onlyLooks = ["--plan", "--check", "--help", "-h", "--version"];

export async function migrate(
	context: VerbContext,
	{ arguments: given, options }: Invocation,
): Promise<number> {
	await runningContainer(context.stack, "backend");
	// Behind an argument of manage.py too, which has no such option.
	const args = given.filter((arg) => arg !== "--no-backup");
	const unwanted = options.backup === false || args.length < given.length;
	if (!unwanted && !args.some((arg) => onlyLooks.includes(arg))) {
		const skip = context.command(["backend-migrate --no-backup", ...args].join(" "));
		await backupBeforeMigration(context, { untouched: "nothing was migrated", skip });
	}
	return await execIn(context, "backend", ["python", "manage.py", "migrate", "--noinput", ...args]);
}

/** Writes migrations as the owner of the source, so that they are the developer's files like any other. */
export async function makeMigrations(context: VerbContext, { arguments: args }: Invocation): Promise<number> {
	const container = await runningContainer(context.stack, "backend");
	const source = container.mounts.find(
		({ Type, Destination }) => Type === "bind" && Destination === sourceMount,
	);
	if (!source) {
		const { settings } = context.load();
		const why = settings.backendImage
			? `it runs the finished image ${settings.backendImage}`
			: `mode is ${settings.mode}, where the source is in the image`;
		throw new StackError(
			`backend-makemigrations writes into the source, and the backend of stack ${context.stack} has none: ${why}. The files would be lost with the container, so nothing was done`,
			{ fix: "make the migrations in a stack of mode development, commit them, then run up here" },
		);
	}
	const { uid, gid } = statSync(source.Source);
	// The source's owner may not be allowed to write the application's log files.
	const environment = { DJANGO_LOG_DIR: "/tmp", HOME: "/tmp" };
	const command = ["python", "manage.py", "makemigrations", ...args];
	return await execIn(context, "backend", command, { user: `${uid}:${gid}`, environment });
}
