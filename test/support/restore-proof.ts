/** What a restore has to bring back, made and compared on a test's own stack. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { docker, dockerLines } from "./docker.ts";
import type { TestStack } from "./test-stack.ts";

/** Everything of a stack that a full restore brings back, by content. */
export interface Content {
	readonly rows: string;
	readonly users: string;
	/** Owner, mode, size, hash and name of each file. */
	readonly media: string;
	readonly static: string;
}

export const password = "correct horse battery";

export class RestoreProof {
	readonly stack: TestStack;
	readonly backups: string;

	constructor(stack: TestStack) {
		this.stack = stack;
		this.backups = join(stack.directory, "backups");
	}

	/** Rows, a user who can sign in, and files of several owners and modes. */
	async seed(): Promise<void> {
		const { stack } = this;
		stack.sql("create table proof as select i, md5(i::text) as hash from generate_series(1, 3000) i");
		await this.#django(`User.objects.create_user("before", "b@example.com", "${password}")`);
		this.inVolume(
			"backend-media",
			`mkdir -m 750 sub; echo uploaded > sub/file; head -c 40000000 /dev/urandom > large; : > empty
			chown 1234:4321 sub/file; chmod 640 sub/file; ln -s sub/file link; chown 10001:10001 sub large; chmod 4711 empty`,
		);
		this.redis("set proof before");
	}

	/** What is written after the backup, and has to be gone after the restore. */
	async change(): Promise<void> {
		const { stack } = this;
		stack.sql(
			"delete from proof where i % 3 = 0; insert into proof values (0, 'after'); create table later()",
		);
		await this.#django(
			'User.objects.all().delete(); User.objects.create_user("after", "a@example.com", "x")',
		);
		this.inVolume("backend-media", "rm -r sub; echo new > large; echo after > after; chmod 600 empty");
		this.inVolume("backend-static", "echo after > after.css; rm -r admin");
		this.redis("set proof after");
	}

	content(): Content {
		const { stack } = this;
		const list = (volume: "backend-media" | "backend-static") =>
			this.inVolume(
				volume,
				`find . -exec sh -c 'stat -c "%n %F %u:%g %a %N" "$1"; [ ! -f "$1" ] || sha256sum "$1"' _ {} \\; | sort`,
			);
		return {
			rows: stack.sql(
				"select md5(string_agg(p::text, ',' order by i)) || ' ' || count(*) || ' ' || (select string_agg(relname, ',' order by relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r') from proof p",
			),
			users: stack.sql("select string_agg(username || password, ',' order by username) from auth_user"),
			media: list("backend-media"),
			static: list("backend-static"),
		};
	}

	/** Runs a shell script as root in a volume, and gives what it prints. */
	inVolume(key: "backend-media" | "backend-static" | "postgres-data", script: string): string {
		return this.stack.inImage(
			"postgres",
			`${this.stack.volume(key)}:/volume`,
			`set -e; cd /volume; ${script}`,
		);
	}

	redis(command: string): string {
		return this.stack.inService(
			"redis",
			`REDISCLI_AUTH="$(cat /run/secrets/redis_password)" redis-cli ${command}`,
		);
	}

	/** Signs in on the page as a browser does; gives the status of the answer. */
	async signIn(user: string): Promise<number> {
		const { url } = this.stack;
		const first = await fetch(`${url}/api/session`);
		const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
		const answer = await fetch(`${url}/api/login`, {
			method: "POST",
			headers: { cookie, "x-csrftoken": cookie.split("=")[1] ?? "", "content-type": "application/json" },
			body: JSON.stringify({ username: user, password }),
		});
		return answer.status;
	}

	/** Whether the application answers, its database and cache with it. */
	async answers(): Promise<boolean> {
		return await fetch(`${this.stack.url}/api/healthz`).then(
			({ ok }) => ok,
			() => false,
		);
	}

	/** When each container was started last: the same times mean that nothing was stopped. */
	starts(): string[] {
		return docker("inspect", "--format", "{{.Name}} {{.State.StartedAt}}", ...this.stack.containerIds())
			.split("\n")
			.sort();
	}

	/** What a restore leaves behind that is at an end: nothing. */
	remains(): string[] {
		const { stack, backups } = this;
		const databases = stack.sql(
			"select datname from pg_database where datname not in ('postgres', 'template0', 'template1', 'backend_db')",
		);
		const hidden = (["backend-media", "backend-static", "postgres-data"] as const).map((key) =>
			this.inVolume(key, "ls -d .persistent-stack-restore-* 2>/dev/null || true"),
		);
		return [
			...databases.split("\n"),
			...hidden,
			...readdirSync(backups).filter((name) => name.endsWith(".restore.json")),
			...dockerLines(
				...["ps", "--all", "--format", "{{.Names}}", "--filter", "label=persistent-stack.restore"],
				...["--filter", `label=persistent-stack.owner=persistent-stack/${stack.name}`],
			),
		].filter((line) => line !== "");
	}

	/** Names of the files that are backups. */
	archives(): string[] {
		return readdirSync(this.backups)
			.filter((name) => /^(full|db)_backup_/.test(name) && !name.endsWith(".json"))
			.sort();
	}

	/** A full backup as the specification's own commands make it. */
	handMade(stamp: string): string {
		const { stack, backups } = this;
		const shell = (script: string) => execFileSync("sh", ["-ec", script], { cwd: backups });
		shell(`docker exec ${stack.name}-db pg_dump -U postgres backend_db > db_backup_${stamp}.sql`);
		for (const part of ["media", "static"]) {
			shell(
				`docker run --rm --network none --volume ${stack.name}-backend-${part}:/data:ro --volume "$PWD:/backup" --entrypoint tar ${stack.baseImage("postgres")} czf /backup/${part}_backup_${stamp}.tar.gz -C /data .`,
			);
		}
		const file = `full_backup_${stamp}.tar.gz`;
		shell(`tar czf ${file} *_backup_${stamp}*; rm db_backup_${stamp}.sql`);
		return file;
	}

	async #django(code: string): Promise<void> {
		const input = `from django.contrib.auth.models import User\n${code}\n`;
		await this.stack.run(["backend-shell"], { input });
	}
}
