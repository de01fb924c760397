# Starts nginx with the configuration from NGINX_CONF and rotates its log files: at 10 MB, five kept.
set -eu
printf '%s' "$NGINX_CONF" >/tmp/nginx.conf

# The image links its logs to stdout, and an empty volume is filled with the image's files: nothing would ever
# reach the volume. (The provider can ask Docker not to copy only from API 1.45 on.)
for log in /var/log/nginx/access.log /var/log/nginx/error.log; do
	[ ! -L "$log" ] || rm "$log"
done

rotate() {
	[ -f "$1" ] && [ "$(stat -c %s "$1")" -ge 10485760 ] || return 0
	for generation in 4 3 2 1; do
		[ ! -f "$1.$generation" ] || mv -f "$1.$generation" "$1.$((generation + 1))"
	done
	mv -f "$1" "$1.1"
	kill -USR1 "$(cat /tmp/nginx.pid)"
}

while sleep 60; do
	for log in /var/log/nginx/access.log /var/log/nginx/error.log; do
		rotate "$log" || echo "log rotation of $log failed" >&2
	done
done &

exec nginx -c /tmp/nginx.conf -g 'daemon off;'
