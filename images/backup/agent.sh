#!/bin/sh
# Runs the agent as the owner of the backup directory, so that the recovery points belong to whoever runs the
# stack. Of root's powers it keeps one: to read files that only their owner may. A restore stays root, because it
# gives files back to their owners.
set -eu
# Every pipe that is read or written waits in a thread of this pool.
export UV_THREADPOOL_SIZE=16
memory=64
# Exchanging the content of a volume takes the names of all that is in one directory.
[ "${1:-}" != restore ] || memory=512
export NODE_OPTIONS="${NODE_OPTIONS:---max-old-space-size=$memory --max-semi-space-size=2}"
powers=+dac_read_search
# A drill starts a database server, which has a user of its own.
[ "${1:-}" != drill ] || powers="$powers,+setuid,+setgid"
directory="${AGENT_BACKUP_DIRECTORY:-/backups}"
if [ "${1:-}" != restore ] && [ "$(id -u)" = 0 ] && owner=$(stat -c '%u' "$directory" 2>/dev/null) && [ "$owner" != 0 ]; then
	group=$(stat -c '%g' "$directory")
	exec setpriv --reuid="$owner" --regid="$group" --clear-groups \
		--inh-caps="-all,$powers" --ambient-caps="-all,$powers" \
		node /opt/agent/main.mjs "$@"
fi
exec node /opt/agent/main.mjs "$@"
