#!/bin/sh
# Entrypoint of the nginx stand-in: runs what is in /docker-entrypoint.d in order, then the command.
set -eu

case "${1:-}" in
nginx | nginx-debug)
	for file in /docker-entrypoint.d/*; do
		case "$file" in
		# Sourced: such a file sets variables for those after it.
		*.envsh) [ ! -x "$file" ] || . "$file" ;;
		*.sh) [ ! -x "$file" ] || "$file" ;;
		esac
	done
	;;
esac
exec "$@"
