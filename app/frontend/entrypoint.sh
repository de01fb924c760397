#!/bin/sh
# Makes the node_modules volume fit package-lock.json, then becomes the command.
set -eu

modules=/app/node_modules
staging=$modules/.staging
stamp=$modules/.lock-hash
image=/opt/dependencies

lock_hash() {
	sha256sum <"$1/package-lock.json" | cut -d ' ' -f 1
}

# What is installed stays until its successor is complete.
stage() {
	rm -rf "$staging"
	mkdir "$staging"
	if [ "$wanted" = "$(lock_hash "$image")" ]; then
		echo "Refreshing node_modules from the image"
		cp -R "$image/node_modules" "$staging/"
		return
	fi
	echo "package-lock.json is not the one this image was built with; running npm ci"
	cp /app/package.json /app/package-lock.json "$staging/"
	# Few retries: without a network the message below should not take minutes.
	npm ci --prefix "$staging" --ignore-scripts --no-audit --no-fund --no-update-notifier \
		--fetch-retries 1 --fetch-retry-mintimeout 2000
}

# The mount itself cannot be renamed, so its entries are exchanged; without its stamp
# an interrupted exchange is repeated.
swap() {
	rm -f "$stamp"
	find "$modules" -mindepth 1 -maxdepth 1 ! -path "$staging" -exec rm -rf {} +
	find "$staging/node_modules" -mindepth 1 -maxdepth 1 -exec mv -t "$modules" {} +
	rm -rf "$staging"
	echo "$wanted" >"$stamp"
}

wanted=$(lock_hash /app)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
	# Not `if ! stage`: a condition would switch off `set -e` inside the function.
	trap 'echo "ERROR: node_modules could not be brought up to date with package-lock.json and was left as it was. Run: ./docker-dev.sh rebuild frontend" >&2' EXIT
	stage
	trap - EXIT
	swap
fi

exec "$@"
