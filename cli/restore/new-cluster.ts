/** A new, empty database cluster beside the damaged files of one that does not start. */
import { volumeEntry } from "../../components/catalogue.ts";
import { labelKeys, ownerOf } from "../../components/identity.ts";
import type { VerbContext } from "../context.ts";
import { docker } from "../docker.ts";
import { StackError } from "../errors.ts";
import type { Ground } from "./ground.ts";
import { copySecrets, removeContainers, restoreLabel, stepLabel } from "./helper.ts";

/** Where the program of the image has the cluster before it is put in place, in the volume. */
const hiddenDirectory = (id: string) => `.persistent-stack-restore-${id}`;

/**
 * The entrypoint of the image initialises a cluster before it becomes the server. That it has become the server
 * shows in the server's own record: its process id there is no longer that of the one that initialises.
 */
const script = `set -eu
umask 077
mkdir "$1"
export PGDATA="$1/new"
docker-entrypoint.sh postgres -c listen_addresses= &
server=$!
until [ "$(sed -n '1p;8p' "$PGDATA/postmaster.pid" 2>/dev/null | tr -d ' \\n')" = "\${server}ready" ]; do
	kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
	sleep 0.2
done
pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
wait "$server"`;

/**
 * Initialises it in a hidden directory of the database's volume, by the stack's own PostgreSQL image.
 *
 * @throws StackError saying what the image said. The damaged files are not touched in any case.
 */
export async function makeCluster(context: VerbContext, ground: Ground, id: string): Promise<void> {
	const { mountPath } = volumeEntry("postgres-data");
	const volume = ground.volumes.get("database");
	const place = `${mountPath}/${hiddenDirectory(id)}`;
	const created = await docker([
		...["create", "--init", "--name", `${context.load().identity.prefix}-restore-cluster-${id}`],
		...["--label", `${labelKeys.owner}=${ownerOf(context.stack)}`, "--label", `${restoreLabel}=${id}`],
		...["--label", `${stepLabel}=rebuild`],
		...["--network", "none", "--user", "999:999", "--cap-drop", "ALL"],
		...["--security-opt", "no-new-privileges", "--shm-size", "128m"],
		...["--tmpfs", "/var/run/postgresql:uid=999,gid=999,mode=0775", "--tmpfs", "/tmp:mode=1777"],
		...["--mount", `type=volume,source=${volume?.name},target=${mountPath},volume-nocopy`],
		...(await databaseEnvironment(ground)).flatMap((variable) => ["--env", variable]),
		...["--entrypoint", "bash", ground.database.imageId, "-c", script, "bash", place],
	]);
	const container = created.trim();
	try {
		await copySecrets(ground.database.id, container);
		await docker(["start", "--attach", container]);
	} catch (error) {
		const { message } = error as Error;
		throw new StackError(`a new database could not be initialised: ${message}`, { cause: error });
	} finally {
		await removeContainers([container]);
	}
}

/** Names of database, role and password file, and whatever else the stack's database was made with. */
async function databaseEnvironment({ database }: Ground): Promise<string[]> {
	const found = await docker(["container", "inspect", "--format", "{{json .Config.Env}}", database.id]);
	return (JSON.parse(found) as string[]).filter((variable) => !variable.startsWith("PGDATA="));
}
