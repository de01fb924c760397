#!/usr/bin/env bash
# Entrypoint of the PostgreSQL stand-in: prepares the data directory, makes a database on the first
# start (first-init.sh), and becomes the server. Same environment variables and arguments as the
# official image's entrypoint; written from its documented contract.
set -Eeuo pipefail

fail() {
	printf 'docker-entrypoint: %s\n' "$@" >&2
	exit 1
}

# `docker run image -c max_connections=50` means: options of the server.
if [ $# -eq 0 ] || [ "${1:0:1}" = "-" ]; then
	set -- postgres "$@"
fi

# Anything but the server (psql, pg_dump, bash) runs as it is.
[ "$1" = "postgres" ] || exec "$@"

# `postgres --version` and its kin need no data.
for argument in "$@"; do
	case "$argument" in
	-'?' | --help | --describe-config | -V | --version) exec "$@" ;;
	esac
done

mkdir -p "$PGDATA" 2>/dev/null || [ -d "$PGDATA" ] || fail "$PGDATA cannot be created; nothing was changed."

if [ "$(id -u)" = "0" ]; then
	# Only what is not ours yet: touching every file of a large volume on each start costs minutes.
	find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
	find /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
	# Root without the capability may not; the server says so itself if it matters.
	chmod 0700 "$PGDATA" || true
	chmod 3775 /var/run/postgresql || true
	if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
		mkdir -p "$POSTGRES_INITDB_WALDIR"
		find "$POSTGRES_INITDB_WALDIR" \! -user postgres -exec chown postgres '{}' +
		chmod 0700 "$POSTGRES_INITDB_WALDIR"
	fi
	# --init-groups rather than none: group 999 is the socket directory's.
	exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$BASH_SOURCE" "$@"
fi

chmod 0700 "$PGDATA" 2>/dev/null || true
first-init.sh "$@"
exec "$@"
