#!/bin/sh
# The operator's command line under its old name: ./docker-dev.sh VERB is npx stack VERB.
INIT_CWD=$PWD
export INIT_CWD
cd "$(dirname "$0")" || exit 1
# Straight to the project's own Node when nothing has to be installed first.
if [ -x node_modules/.bin/node ] && [ node_modules/.package-lock-hash -nt package-lock.json ]; then
	exec node_modules/.bin/node cli/stack.mjs "$@"
fi
command -v node >/dev/null || { echo "Node.js 20 or newer with npm is needed to install the packages; nothing was changed." >&2; exit 1; }
exec node cli/stack.mjs "$@"
