#!/bin/sh
# Entrypoint of the node stand-in: options and scripts that are no command on PATH are node's.
set -eu

if [ "${1#-}" != "${1:-}" ] || { [ -n "${1:-}" ] && [ -z "$(command -v "$1" 2>/dev/null)" ]; } || { [ -f "${1:-}" ] && [ ! -x "${1:-}" ]; }; then
	set -- node "$@"
fi
exec "$@"
