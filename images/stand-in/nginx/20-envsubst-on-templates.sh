#!/bin/sh
# Fills /etc/nginx/templates/*.template from the environment, as the official image does.
set -eu

templates="${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}"
suffix="${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}"
output="${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}"
[ -d "$templates" ] || exit 0

# Only variables that exist: nginx's own $host and $uri must stay as they are.
defined="$(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/${\1}/p' | tr '\n' ' ')"
find "$templates" -type f -name "*$suffix" | while read -r template; do
	relative="${template#"$templates"/}"
	target="$output/${relative%"$suffix"}"
	mkdir -p "$(dirname "$target")"
	envsubst "$defined" <"$template" >"$target"
done
