set -eu
umask 077
mkdir -p "$(dirname "$RECORD")"
printf '%s\n' "$ENGINE" >"$RECORD"
