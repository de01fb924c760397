# Each path must answer through the proxy within 30 seconds.
set -eu
for path in $PATHS; do
	docker exec "$PROXY" curl -fsS -o /dev/null --max-time 10 --retry 10 --retry-delay 2 --retry-max-time 30 \
		--retry-all-errors "$ORIGIN$path" || {
		echo "smoke check: $path does not answer through the proxy; see ./docker-dev.sh logs backend frontend proxy" >&2
		exit 1
	}
done
