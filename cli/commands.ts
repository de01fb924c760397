/**
 * The table of commands: the single source of parsing, help, completion and the README's table of verbs.
 * Nothing is imported here but types, so `--help` is fast; a verb's code is loaded when it runs.
 */
import type { Verb } from "./context.ts";

/** What a command puts at risk, and so what it asks before it begins. */
export const dangerLevels = {
	none: "nothing",
	mild: "nothing; says what it did",
	moderate: "outside dev `y`, or `--yes` with `--stack` given",
	severe: "the typed `yes`, or `--yes` with `--stack` given",
	utmost: "the typed `DELETE EVERYTHING`, or `--confirm` with it and `--stack` given",
} as const;
export type Danger = keyof typeof dangerLevels;

/** Where an argument's completion comes from. */
type Completion = "services" | "shells" | "recovery-points";

export interface ArgumentSpec {
	readonly name: string;
	readonly description: string;
	readonly required?: boolean;
	readonly variadic?: boolean;
	readonly completion?: Completion;
}

export interface OptionSpec {
	/** In commander's form, such as `-f, --follow` or `--tail <lines>`. */
	readonly flags: string;
	readonly description: string;
	readonly choices?: readonly string[];
}

export interface CommandSpec {
	/** The verb; of a sub-verb, its verb and itself: `backup list`. The verb stands before its sub-verbs. */
	readonly name: string;
	readonly group: "Stack" | "Services" | "Data" | "Clean-up" | "Inside a service" | "This program";
	readonly summary: string;
	/** Paragraphs of the command's own help. */
	readonly details?: string;
	readonly arguments?: readonly ArgumentSpec[];
	readonly options?: readonly OptionSpec[];
	readonly danger: Danger;
	/** Whether everything after the first argument, or every unknown option too, belongs to a command inside. */
	readonly passThrough?: "after-argument" | "everything";
	/** Whether it works with a Docker host elsewhere (DOCKER_HOST=ssh://…). @default false */
	readonly remoteHost?: boolean;
	readonly load: () => Promise<Verb>;
}

const services: ArgumentSpec = {
	name: "services",
	description: "services to act on; all of them when none is named",
	variadic: true,
	completion: "services",
};

const timeout: OptionSpec = {
	flags: "--timeout <seconds>",
	description: "how long to wait for health (default: 300)",
};

const refresh: OptionSpec = {
	flags: "--refresh",
	description: "look at what really exists first, so that what was changed by hand is noticed",
};

const noBackup: OptionSpec = {
	flags: "--no-backup",
	description: "take no database backup before a migration",
};

const confirmation: OptionSpec = {
	flags: "-y, --yes",
	description: "answer yes; counts only where --stack is given",
};

const dryRun: OptionSpec = {
	flags: "--dry-run",
	description: "show what would be removed, and change nothing",
};

export const commands: readonly CommandSpec[] = [
	{
		name: "up",
		group: "Stack",
		summary: "create the stack, or apply what changed in its settings",
		details:
			"Installs Docker and builds images where they are missing, then applies the program. A plan that would delete or replace a critical or important volume is refused. Containers that were stopped or removed by hand come back. Where it brings a new backend image to a running database, it takes a database backup first, and changes nothing when that fails.",
		options: [
			refresh,
			noBackup,
			{ flags: "--dry-run", description: "show what would be done, as preview does, and change nothing" },
		],
		danger: "mild",
		remoteHost: true,
		load: async () => (await import("./verbs/up.ts")).up,
	},
	{
		name: "preview",
		group: "Stack",
		summary: "show what up would do, and what becomes of each volume",
		options: [
			refresh,
			{ flags: "--diff", description: "show every changed value in full; secrets are never shown" },
			{ flags: "--expect-no-changes", description: "exit with 1 when there is any change" },
		],
		danger: "none",
		remoteHost: true,
		load: async () => (await import("./verbs/preview.ts")).preview,
	},
	{
		name: "destroy",
		group: "Stack",
		summary: "remove the stack; its data goes or stays as its removalPolicy says",
		options: [confirmation, dryRun],
		danger: "severe",
		remoteHost: true,
		load: async () => (await import("./verbs/destroy.ts")).destroy,
	},
	{
		name: "handover",
		group: "Stack",
		summary: "hand the stack over to the other engine, without touching an object",
		details:
			"The other engine is given the record of the stack's objects, and is asked what it would change. Where it would create, replace or delete anything, all is undone. The former record is kept in the state directory. A handover that was killed is undone or finished by the next one, also without --to.",
		options: [
			{ flags: "--to <engine>", description: "the engine that gets the stack", choices: ["pulumi", "local"] },
		],
		danger: "mild",
		load: async () => (await import("./verbs/handover.ts")).handover,
	},
	{
		name: "rebuild",
		group: "Stack",
		summary: "build the images anew where their source changed, and replace their containers",
		details: "Data volumes are kept. Services that are not built here have nothing to rebuild.",
		arguments: [services],
		options: [noBackup],
		danger: "mild",
		load: async () => (await import("./verbs/rebuild.ts")).rebuild,
	},
	{
		name: "start",
		group: "Services",
		summary: "start what is stopped, recreate what is missing, wait for health",
		details: "Never applies a pending change, but says that there is one; up applies it.",
		arguments: [services],
		options: [timeout],
		danger: "none",
		load: async () => (await import("./verbs/start.ts")).start,
	},
	{
		name: "stop",
		group: "Services",
		summary: "stop services cleanly; containers and data stay",
		arguments: [services],
		danger: "mild",
		load: async () => (await import("./verbs/start.ts")).stop,
	},
	{
		name: "restart",
		group: "Services",
		summary: "stop and start services, and wait for health",
		arguments: [services],
		options: [timeout],
		danger: "mild",
		load: async () => (await import("./verbs/start.ts")).restart,
	},
	{
		name: "status",
		group: "Services",
		summary: "show services, volumes and the newest backup, and how they are",
		details: "Exits with 0 whatever the state is, so that scripts can read it; see --exit-code.",
		options: [
			{
				flags: "--exit-code",
				description: "exit with 6 unless every service is healthy and no backup is overdue",
			},
		],
		danger: "none",
		load: async () => (await import("./verbs/status.ts")).status,
	},
	{
		name: "doctor",
		group: "Services",
		summary: "find what is wrong or about to be, with the command that mends it",
		details:
			"Looks at Docker, disks, services, the port, volumes, pending changes, backups, clock and keys; it changes nothing. Works without Docker and without a stack too. --deep also checks every table and index of the database with PostgreSQL's amcheck, whose extension is made in a transaction that is rolled back, and reads the newest backup from end to end, as backup verify does. Exits with 1 when anything fails; warnings do not count.",
		options: [
			{ flags: "--deep", description: "read the whole database and the newest backup; takes its time" },
		],
		danger: "none",
		load: async () => (await import("./verbs/doctor.ts")).doctor,
	},
	{
		name: "logs",
		group: "Services",
		summary: "show what services wrote, in order of time",
		arguments: [services],
		options: [
			{ flags: "-f, --follow", description: "go on as new lines come" },
			{ flags: "-n, --tail <lines>", description: "only the last lines of each service" },
			{ flags: "--since <time>", description: "only from a time, such as 10m or 2026-01-31T12:00:00" },
			{ flags: "-t, --timestamps", description: "put its time before each line" },
		],
		danger: "none",
		load: async () => (await import("./verbs/logs.ts")).logs,
	},
	{
		name: "volumes",
		group: "Data",
		summary: "show the volumes, their sizes and what is in them",
		options: [{ flags: "--no-size", description: "leave the sizes out, which have to be measured" }],
		danger: "none",
		load: async () => (await import("./verbs/volumes.ts")).volumes,
	},
	{
		name: "backup",
		group: "Data",
		summary: "make a full backup: database, Redis, media and static files",
		details:
			"One consistent, checked archive in the backup directory, made by the backup container while the application runs. Ctrl-C, or the end of this command, ends the run and leaves nothing of it.",
		danger: "mild",
		load: async () => (await import("./verbs/backup.ts")).backup,
	},
	{
		name: "backup list",
		group: "Data",
		summary: "show the backups: age, size, and whether they were found good",
		danger: "none",
		load: async () => (await import("./verbs/backup-list.ts")).list,
	},
	{
		name: "backup verify",
		group: "Data",
		summary: "read backups from end to end and say whether they are good",
		details:
			"Without a file it is the newest full backup. An encrypted backup is checked by its stored bytes; with --identity also by its content. Exits with 7 when one is damaged, and names the damaged part.",
		arguments: [
			{
				name: "files",
				description: "backups, by name or path",
				variadic: true,
				completion: "recovery-points",
			},
		],
		options: [
			{ flags: "--latest", description: "the newest full backup (default)" },
			{ flags: "--all", description: "every backup of this stack, and those of the old script" },
			{ flags: "--identity <file>", description: "age or ssh private key, to read encrypted backups" },
			{ flags: "--offsite", description: "the copies in the bucket, by their stored bytes" },
		],
		danger: "none",
		load: async () => (await import("./verbs/backup-verify.ts")).verify,
	},
	{
		name: "backup push",
		group: "Data",
		summary: "upload to the bucket what is missing there",
		details: "The same happens after every good backup. What is there is not overwritten.",
		danger: "mild",
		load: async () => (await import("./verbs/backup-push.ts")).push,
	},
	{
		name: "backup prune",
		group: "Data",
		summary: "delete the backups that the retention policy lets go",
		details:
			"The same happens after every good backup. Never deleted: the newest verified full backups (minimumCopies), and whatever is not of this stack.",
		options: [
			{
				flags: "--dry-run",
				description: "show what would be deleted, and why the rest stays; delete nothing",
			},
		],
		danger: "mild",
		load: async () => (await import("./verbs/backup-prune.ts")).prune,
	},
	{
		name: "backup drill",
		group: "Data",
		summary: "restore a backup into a scratch database and directory, and compare it with its manifest",
		details:
			"Without a file it is the newest good full backup. Nothing of the stack is touched: it happens in a container of its own, without a network, and what it restored is thrown away. The result is kept beside the backups and shown by status. Exits with 7 when the backup does not restore to what it says.",
		arguments: [{ name: "file", description: "a full backup, by name", completion: "recovery-points" }],
		options: [
			{ flags: "--identity <file>", description: "age or ssh private key, to read an encrypted backup" },
		],
		danger: "none",
		load: async () => (await import("./verbs/backup-drill.ts")).backupDrill,
	},
	{
		name: "backup-db",
		group: "Data",
		summary: "make a backup of the database alone, as plain SQL",
		danger: "mild",
		load: async () => (await import("./verbs/backup.ts")).backupDatabase,
	},
	{
		name: "restore",
		group: "Data",
		summary: "bring the data of a backup back in place of what is there now",
		details:
			"A full backup brings database, media and static files; Redis (sessions, queue) stays as it is unless --redis says otherwise. The file is checked first, then a safety backup is made, everything is loaded beside the live data, and the services stop only for the exchange. Whatever fails, the stack is as before. At the end it says how to undo.\n\nFILE is a full backup, one of the database (.sql), or one part (media_backup_*, static_backup_*), by name or path. Without one the backups are listed. Where no stack runs, it is brought up first.",
		arguments: [
			{
				name: "file",
				description: "backup to restore, by name or path",
				variadic: true,
				completion: "recovery-points",
			},
		],
		options: [
			{ flags: "--latest", description: "the newest verified full backup of this stack" },
			{
				flags: "--from <place>",
				description:
					"offsite: download the copy from the bucket first; so does an s3:// address (default: local)",
				choices: ["local", "offsite"],
			},
			{
				flags: "--credentials <file>",
				description: "key to the bucket other than the stack's, in the form of ~/.aws/credentials",
			},
			{
				flags: "--only <parts>",
				description: "only these: database, media, static, redis; separated by commas",
			},
			{
				flags: "--redis <choice>",
				description: "what becomes of Redis (default: keep)",
				choices: ["keep", "restore", "clear"],
			},
			{ flags: "--identity <file>", description: "age or ssh private key, to read an encrypted backup" },
			{
				flags: "--rebuild-database",
				description: "the database does not start: set its damaged files aside and make a new one first",
			},
			{
				flags: "--no-safety-backup",
				description: "make no backup first: gives up the way back to what is there now",
			},
			{ flags: "--no-restart", description: "leave the stopped services down, and do not wait for health" },
			{ flags: "--timeout <seconds>", description: "how long to wait for health (default: 120)" },
			confirmation,
			{ flags: "--dry-run", description: "check the file and show what would be replaced; change nothing" },
		],
		danger: "severe",
		load: async () => (await import("./verbs/restore.ts")).restore,
	},
	{
		name: "clean",
		group: "Clean-up",
		summary: "remove containers and networks; every volume and all data stay",
		details: "As docker compose down. start brings everything back.",
		options: [dryRun],
		danger: "mild",
		load: async () => (await import("./verbs/clean.ts")).clean,
	},
	{
		name: "clean-containers",
		group: "Clean-up",
		summary: "the same as clean",
		options: [dryRun],
		danger: "mild",
		load: async () => (await import("./verbs/clean.ts")).cleanContainers,
	},
	{
		name: "clean-logs",
		group: "Clean-up",
		summary: "remove log files: nginx's volume, and what is in ./backend/logs",
		details:
			"The proxy's container goes with its volume: the application answers again after start. A backend that keeps a deleted log file open, as the sample does not, has to be restarted.",
		options: [confirmation, dryRun],
		danger: "moderate",
		load: async () => (await import("./verbs/clean.ts")).cleanLogs,
	},
	{
		name: "clean-cache",
		group: "Clean-up",
		summary: "remove Redis's volume: cache, sessions and queued tasks",
		details: "Redis's container goes with it; start brings back both, empty.",
		options: [confirmation, dryRun],
		danger: "moderate",
		load: async () => (await import("./verbs/clean.ts")).cleanCache,
	},
	{
		name: "clean-all",
		group: "Clean-up",
		summary: "DESTRUCTIVE: remove the stack with all its data; backups stay",
		details:
			"Shows every volume with its size, takes a safety backup where the database runs, and removes containers, networks, all volumes and log files: also those that removalPolicy retain keeps in a destroy. A protected stack is refused. Ends with the command that brings the data back.",
		options: [
			{
				flags: "--confirm <phrase>",
				description: 'confirm with "DELETE EVERYTHING"; counts only where --stack is given',
			},
			{
				flags: "--no-safety-backup",
				description: "take no backup first: what no earlier backup holds is lost for good",
			},
			{ flags: "-y, --yes", description: "not enough here: give --confirm" },
			dryRun,
		],
		danger: "utmost",
		load: async () => (await import("./verbs/clean-all.ts")).cleanAll,
	},
	{
		name: "exec",
		group: "Inside a service",
		summary: "run a command in a service's container",
		details:
			"Options after the service belong to the command. Standard input and the exit code are passed through:\n  stack exec -T db psql -U postgres backend_db < dump.sql",
		arguments: [
			{ name: "service", description: "service to run it in", required: true, completion: "services" },
			{ name: "command", description: "command with its arguments", required: true, variadic: true },
		],
		options: [
			{ flags: "-T, --no-tty", description: "no terminal, even at one" },
			{ flags: "-u, --user <user>", description: "user[:group], by name or number" },
		],
		danger: "none",
		passThrough: "after-argument",
		load: async () => (await import("./verbs/exec.ts")).exec,
	},
	{
		name: "backend-shell",
		group: "Inside a service",
		summary: "open the Django shell; reads commands from a pipe too",
		arguments: [{ name: "arguments", description: "for manage.py shell", variadic: true }],
		danger: "none",
		passThrough: "everything",
		load: async () => (await import("./verbs/backend.ts")).backendShell,
	},
	{
		name: "db-shell",
		group: "Inside a service",
		summary: "open psql on the application's database; reads SQL from a pipe too",
		arguments: [{ name: "arguments", description: "for psql", variadic: true }],
		danger: "none",
		passThrough: "everything",
		load: async () => (await import("./verbs/exec.ts")).dbShell,
	},
	{
		name: "backend-makemigrations",
		group: "Inside a service",
		summary: "write Django migrations into the source, owned by the source's owner",
		details: "In mode development only: elsewhere the source is in the image, and the files would be lost.",
		arguments: [{ name: "arguments", description: "for manage.py makemigrations", variadic: true }],
		danger: "none",
		passThrough: "everything",
		load: async () => (await import("./verbs/backend.ts")).makeMigrations,
	},
	{
		name: "backend-migrate",
		group: "Inside a service",
		summary: "apply Django migrations to the database, after a backup of it",
		details:
			"The database backup is made where the database and the backup container run; when it fails, nothing is migrated. --no-backup is of this program; all other options are for manage.py migrate.",
		arguments: [{ name: "arguments", description: "for manage.py migrate", variadic: true }],
		options: [noBackup],
		danger: "mild",
		passThrough: "everything",
		load: async () => (await import("./verbs/backend.ts")).migrate,
	},
	{
		name: "completion",
		group: "This program",
		summary: "print a completion script for a shell",
		details: "For example: stack completion bash > /etc/bash_completion.d/stack",
		arguments: [{ name: "shell", description: "bash, zsh or fish", required: true, completion: "shells" }],
		danger: "none",
		remoteHost: true,
		load: async () => (await import("./verbs/completion.ts")).completion,
	},
];

/** Options of every command, before or after the verb. */
export const globalOptions: readonly OptionSpec[] = [
	{ flags: "-s, --stack <name>", description: "the stack (default: dev)" },
	{
		flags: "-C, --directory <directory>",
		description:
			"project directory (default: PERSISTENT_STACK_DIRECTORY, else the nearest with a Pulumi.yaml)",
	},
	{
		flags: "--engine <engine>",
		description: "what applies the stack (default: what did so last, else pulumi where installed)",
		choices: ["local", "pulumi"],
	},
	{ flags: "--json", description: "print the result as JSON" },
	{ flags: "-q, --quiet", description: "no progress, only the result, warnings and errors" },
	{ flags: "--no-color", description: "no colours; NO_COLOR is honoured too" },
	{ flags: "--no-install", description: "install nothing: neither packages nor Docker" },
	{ flags: "--no-input", description: "never ask; end with 2 where an answer is needed" },
	{ flags: "--debug", description: "show stack traces; DEBUG=1 does so too" },
];

/** The command as it is written: name and arguments. */
export function usageOf({ name, arguments: args = [] }: CommandSpec): string {
	const written = args.map(({ name: argument, required, variadic }) => {
		const text = `${argument}${variadic ? "..." : ""}`;
		return required ? `<${text}>` : `[${text}]`;
	});
	return [name, ...written].join(" ");
}

/** The README's table of verbs, as Markdown. */
export function renderVerbTable(): string {
	const cell = (text: string) => text.replaceAll("|", "\\|");
	const rows = commands.map((command) => {
		const options = (command.options ?? []).map(({ flags }) => `\`${flags}\``).join(", ");
		const cells = [`\`${usageOf(command)}\``, command.summary, options, dangerLevels[command.danger]];
		return `| ${cells.map(cell).join(" | ")} |`;
	});
	return ["| Verb | What it does | Options | Asks for |", "| --- | --- | --- | --- |", ...rows].join("\n");
}
