/** `stack exec` and `stack db-shell`: commands inside a service, with the terminal, pipes and exit code passed on. */
import type { ServiceName } from "../../components/catalogue.ts";
import { databaseName, databaseUser } from "../../components/identity.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { dockerInForeground, runningContainer } from "../docker.ts";
import { chosenServices } from "../services.ts";

/** What opens psql on the application's database. */
const database = ["-U", databaseUser, databaseName];

export async function exec(context: VerbContext, { arguments: args, options }: Invocation): Promise<number> {
	const [name = "", ...command] = args;
	const [service] = chosenServices([name]);
	return await execIn(context, service as ServiceName, command, {
		tty: options.tty !== false,
		user: options.user as string | undefined,
	});
}

export async function dbShell(context: VerbContext, { arguments: args }: Invocation): Promise<number> {
	return await execIn(context, "db", ["psql", ...database, ...args]);
}

export interface ExecOptions {
	/** Whether the command gets a terminal where this program has one. @default true */
	readonly tty?: boolean;
	/** `user[:group]`. @default the container's */
	readonly user?: string;
	/** Further environment variables. */
	readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs a command in a service's container and returns its exit code.
 *
 * @throws StackError when the service does not run.
 */
export async function execIn(
	{ stack }: VerbContext,
	service: ServiceName,
	command: readonly string[],
	{ tty = true, user, environment = {} }: ExecOptions = {},
): Promise<number> {
	const container = await runningContainer(stack, service);
	const terminal = tty && process.stdin.isTTY && process.stdout.isTTY;
	return await dockerInForeground([
		...["exec", "--interactive"],
		...(terminal ? ["--tty"] : []),
		...(user ? ["--user", user] : []),
		...Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
		container.id,
		...command,
	]);
}
