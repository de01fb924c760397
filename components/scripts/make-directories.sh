# Makes the host's directories that are mounted. What exists keeps its content.
set -eu
printf '%s\n' "$DIRECTORIES" | while read -r mode path; do
	mkdir -p "$path"
	[ ! -O "$path" ] || chmod "$mode" "$path"
done
# The application is not root, and whoever runs this may not be allowed to give a directory away: Docker is.
[ "$(stat -c %u:%g "$BACKEND_LOGS" 2>/dev/null)" = "$BACKEND_USER" ] ||
	docker run --rm --network none --user 0:0 --cap-drop ALL --cap-add CHOWN --entrypoint chown \
		--mount "type=bind,source=$BACKEND_LOGS,target=/logs" "$HELPER_IMAGE" "$BACKEND_USER" /logs
