#!/usr/bin/env bash
# Makes the database of an empty data directory; does nothing for one that already has a database.
#
# All the work is done in ONE sub-directory of the volume, which is moved up into place at the end,
# PG_VERSION last. So a first start that is killed at any moment leaves either nothing that looks like
# a database (the next start removes that sub-directory, which only this script ever makes, and begins
# again) or a finished one whose move the next start completes.
set -Eeuo pipefail

staging="$PGDATA/.first-init-in-progress"
finished="$PGDATA/.first-init-finished"

say() { printf 'first-init: %s\n' "$*"; }
fail() {
	printf 'first-init: %s\n' "$@" >&2
	exit 1
}

# Value of a variable, or the content of the file that <NAME>_FILE names; both at once is a mistake.
setting() {
	local name="$1" default="${2:-}" file="${1}_FILE"
	if [ -n "${!name:-}" ] && [ -n "${!file:-}" ]; then
		fail "both $name and $file are set; set one of them. Nothing was changed."
	fi
	if [ -n "${!file:-}" ]; then
		[ -r "${!file}" ] || fail "$file names ${!file}, which user $(id -u) cannot read. Nothing was changed."
		printf '%s' "$(<"${!file}")"
	else
		printf '%s' "${!name:-$default}"
	fi
}

move_into_place() {
	local entry
	shopt -s dotglob nullglob
	for entry in "$finished"/*; do
		[ "$(basename "$entry")" = "PG_VERSION" ] || mv -T "$entry" "$PGDATA/$(basename "$entry")"
	done
	# The other entries must be on disk before the one file that says "this is a database".
	sync "$PGDATA"
	mv -T "$finished/PG_VERSION" "$PGDATA/PG_VERSION"
	rmdir "$finished"
	sync "$PGDATA"
}

if [ -s "$PGDATA/PG_VERSION" ]; then
	# A kill between the last two steps of a move leaves the empty directory behind.
	[ ! -d "$finished" ] || rmdir "$finished"
	exit 0
fi
if [ -d "$finished" ]; then
	say "an earlier first start was interrupted after the database was complete: moving it into place"
	move_into_place
	exit 0
fi
if [ -d "$staging" ]; then
	say "an earlier first start was interrupted: removing its unfinished $staging and beginning again"
	rm -rf -- "$staging"
fi
if [ -n "$(find "$PGDATA" -mindepth 1 -maxdepth 1 -print -quit)" ]; then
	fail "$PGDATA is not empty and holds no database (there is no PG_VERSION); it was left as it is." \
		"Look at what is in it: ls -la on the volume. To begin with an empty database, use an empty volume;" \
		"to use a restored one, restore all its files, PG_VERSION included."
fi

POSTGRES_PASSWORD="$(setting POSTGRES_PASSWORD)"
POSTGRES_USER="$(setting POSTGRES_USER postgres)"
POSTGRES_DB="$(setting POSTGRES_DB "$POSTGRES_USER")"
POSTGRES_INITDB_ARGS="$(setting POSTGRES_INITDB_ARGS)"
: "${POSTGRES_HOST_AUTH_METHOD:=}"
if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != "trust" ]; then
	fail "the superuser has no password; the data directory was left empty." \
		"Set POSTGRES_PASSWORD, or POSTGRES_PASSWORD_FILE to a file that user $(id -u) can read."
fi

# From here on PGDATA is the staging directory, for the init scripts too.
data_directory="$PGDATA"
export PGDATA="$staging"

waldir=()
[ -z "${POSTGRES_INITDB_WALDIR:-}" ] || waldir=(--waldir "$POSTGRES_INITDB_WALDIR")
# POSTGRES_INITDB_ARGS is split as the shell splits words: that is its contract.
eval 'initdb --no-instructions --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") "${waldir[@]}" '"$POSTGRES_INITDB_ARGS"' --pgdata="$PGDATA"'
printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"

# A server for this script only: no TCP, so that no client takes it for the real one.
[ "${1:-}" != "postgres" ] || shift
options="$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")"
PGUSER="${PGUSER:-$POSTGRES_USER}" NOTIFY_SOCKET="" pg_ctl --pgdata="$PGDATA" --options="$options" --wait --silent start

run_sql() {
	PGHOST="" PGHOSTADDR="" PGPASSWORD="${PGPASSWORD-$POSTGRES_PASSWORD}" \
		psql --set=ON_ERROR_STOP=1 --no-psqlrc --no-password --username="$POSTGRES_USER" "$@"
}

if [ "$POSTGRES_DB" != "postgres" ]; then
	printf 'CREATE DATABASE :"name";\n' | run_sql --dbname=postgres --set=name="$POSTGRES_DB" --quiet
fi

export POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB
run_init_file() {
	local file="$1"
	say "running $file"
	case "$file" in
	# Sourced when not executable: scripts that expect the variables of their caller.
	*.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
	*.sql) run_sql --dbname="$POSTGRES_DB" --file="$file" ;;
	*.sql.gz) gzip --decompress --stdout "$file" | run_sql --dbname="$POSTGRES_DB" ;;
	*.sql.xz) xz --decompress --stdout "$file" | run_sql --dbname="$POSTGRES_DB" ;;
	*.sql.zst) zstd --decompress --stdout "$file" | run_sql --dbname="$POSTGRES_DB" ;;
	*) say "ignoring $file: not .sh, .sql, .sql.gz, .sql.xz or .sql.zst" ;;
	esac
}
for file in /docker-entrypoint-initdb.d/*; do
	[ -f "$file" ] || continue
	run_init_file "$file"
done

pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
export PGDATA="$data_directory"
mv -T "$staging" "$finished"
sync "$PGDATA"
move_into_place
say "database $POSTGRES_DB of user $POSTGRES_USER is ready"
