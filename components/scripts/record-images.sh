# Writes down which images the stack consists of, whole or not at all.
set -eu
umask 077
printf '%s\n' "$IMAGES" >"$RECORD.new"
mv -f "$RECORD.new" "$RECORD"
