# Runs the migrations in a one-off container of the new backend image.
set -eu
[ -n "$MIGRATE" ] || exit 0

# Left by an earlier run that was killed; its transaction ends with it.
docker rm -f "$CONTAINER" >/dev/null 2>&1 || true
trap 'docker rm -f "$CONTAINER" >/dev/null 2>&1; exit 130' INT TERM

variables=$(mktemp)
trap 'rm -f "$variables"' EXIT
printf '%s\n' "$VARIABLES" >"$variables"

set -- run --rm -i --name "$CONTAINER" --label "$OWNER_LABEL" --network "$NETWORK" --user "$BACKEND_USER" \
	--cap-drop ALL --security-opt no-new-privileges --env-file "$variables" \
	--tmpfs "/run/secrets:mode=0700,uid=${BACKEND_USER%:*},gid=${BACKEND_USER#*:}" --tmpfs /tmp --tmpfs /app/logs
[ -z "$SOURCE" ] || set -- "$@" --mount "type=bind,source=$SOURCE,target=/app,readonly"

# shellcheck disable=SC2016 # expanded in the container
inside='umask 077; cd /run/secrets
IFS= read -r value && printf %s "$value" >database_password
IFS= read -r value && printf %s "$value" >redis_password
IFS= read -r value && printf %s "$value" >django_secret_key
cd "$OLDPWD"; exec sh -c "$0" </dev/null'
# shellcheck disable=SC2154 # set by the command resource
printf '%s\n' "$databasePassword" "$redisPassword" "$djangoSecretKey" |
	docker "$@" --entrypoint sh "$IMAGE" -c "$inside" "$MIGRATE"
