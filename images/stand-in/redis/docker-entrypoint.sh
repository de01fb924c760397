#!/bin/sh
# Entrypoint of the Redis stand-in, with the arguments and the drop of privileges of the official image.
set -eu

# `docker run image --save ""` and `docker run image my.conf` mean: arguments of the server.
if [ "$#" -eq 0 ] || [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi

if [ "$1" = "redis-server" ]; then
	if [ "$(id -u)" = "0" ]; then
		find . \! -user redis -exec chown redis '{}' +
		exec setpriv --reuid=redis --regid=redis --clear-groups -- "$0" "$@"
	fi
	# Snapshots may hold anything: readable by their owner alone, unless the caller chose otherwise.
	if [ "$(umask)" = "0022" ]; then umask 0077; fi

	# The official image is compiled with protected mode off by default, so that other containers get in;
	# Debian's binary is not. Only the default is changed: a choice in the arguments or the file wins.
	chosen=no
	for argument in "$@"; do
		if [ "$argument" = "--protected-mode" ]; then chosen=yes; fi
	done
	if [ "$#" -gt 1 ] && [ -f "$2" ] && grep -Eiq '^[[:space:]]*protected-mode[[:space:]]' "$2"; then chosen=yes; fi
	if [ "$chosen" = "no" ]; then
		case " $* " in
		*" --version "* | *" -v "* | *" --help "* | *" -h "* | *" --test-memory "* | *" --check-system "*) ;;
		*) set -- "$@" --protected-mode no ;;
		esac
	fi
fi

exec "$@"
