#!/bin/sh
# Starts PostgreSQL with the role's password equal to the stack's secret: a volume that was kept, restored or
# adopted must never lock its own application out.
set -eu

fail() {
	printf 'start-database: %s\n' "$*" >&2
	exit 1
}

if [ -s "$PGDATA/PG_VERSION" ]; then
	have=$(cat "$PGDATA/PG_VERSION")
	want=$(postgres --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	[ "$have" = "$want" ] ||
		fail "the volume holds a database of PostgreSQL $have, this image is PostgreSQL $want; the data was not touched. Set postgresImage to version $have, or migrate by dump and restore."

	# Single-user mode: before any client can connect, and with no window in which the old password counts.
	# A server that was killed leaves its process id behind. In a new container that may well be the id of this
	# script, which PostgreSQL would take for another server, were it not told that it is its grandparent.
	output=$(
		sed "s/'/''/g; s/^\(.*\)\$/ALTER ROLE \"$POSTGRES_USER\" WITH LOGIN PASSWORD '\1';/" "$POSTGRES_PASSWORD_FILE" |
			PG_GRANDPARENT_PID=$$ postgres --single -D "$PGDATA" postgres 2>&1
	) || fail "PostgreSQL cannot open the data in $PGDATA: $output"
	case $output in
	*ERROR:*) fail "the password of role $POSTGRES_USER could not be set: $output" ;;
	esac
fi

exec docker-entrypoint.sh postgres
