#!/bin/sh
# Makes the static files fit this image and this source, then becomes the command.
set -eu

static=/app/staticfiles
installed=/opt/venv/requirements.txt

# Packages and own static sources decide what collectstatic finds.
static_version() {
	{
		cat "$installed"
		find /app -path "$static" -prune -o -path /app/media -prune -o \
			-type f -path '*/static/*' -exec sha256sum {} + | sort
	} | sha256sum | cut -d ' ' -f 1
}

refresh_static() {
	version=$(static_version)
	if [ "$(cat "$static/.version" 2>/dev/null)" = "$version" ]; then
		return
	fi
	# collectstatic keeps a file that is newer than its source, also after a roll back
	# to an older image; hidden entries belong to a restore that is staging here.
	find "$static" -mindepth 1 -maxdepth 1 ! -name '.*' -exec rm -rf {} +
	python3 manage.py collectstatic --noinput --settings config.static_settings
	# Last, and by rename: an interrupted run is repeated.
	echo "$version" >"$static/.version.partial"
	mv "$static/.version.partial" "$static/.version"
}

if ! cmp -s "$installed" /app/requirements.txt; then
	echo "WARNING: requirements.txt differs from what this image has installed;" \
		"run ./docker-dev.sh rebuild backend" >&2
fi

refresh_static

if [ ! -w /app/media ]; then
	echo "WARNING: /app/media is not writable by user id $(id -u); uploads will fail" >&2
fi

# A wrong setting ends the container with one line, instead of a traceback from every worker.
if [ "${1:-}" = gunicorn ]; then
	python3 manage.py check
fi

exec "$@"
