export interface NginxConfigArgs {
	readonly port: number;
	/** Largest request body, MiB. */
	readonly maxUploadMb: number;
	/** `host:port` of the frontend. */
	readonly frontendAddress: string;
}

/**
 * nginx's configuration: /static and /media from their volumes, /api and /admin to the backend, the rest to
 * the frontend.
 *
 * Upstreams are variables, resolved by Docker's DNS at each use: a replaced container has another address,
 * and a service that is down must not keep nginx from starting. Hidden names are denied because restores
 * stage inside the volumes. Uploads are served as data: never as a page of the application's own origin.
 */
export function nginxConfig({ port, maxUploadMb, frontendAddress }: NginxConfigArgs): string {
	return `user nginx;
worker_processes auto;
pid /tmp/nginx.pid;
error_log /var/log/nginx/error.log warn;

events {
	worker_connections 1024;
}

http {
	include /etc/nginx/mime.types;
	default_type application/octet-stream;
	server_tokens off;
	sendfile on;
	keepalive_timeout 65;
	gzip on;
	gzip_types text/css application/javascript application/json image/svg+xml;
	client_max_body_size ${maxUploadMb}m;
	client_body_temp_path /tmp/client_body;
	proxy_temp_path /tmp/proxy;
	fastcgi_temp_path /tmp/fastcgi;
	uwsgi_temp_path /tmp/uwsgi;
	scgi_temp_path /tmp/scgi;
	access_log /var/log/nginx/access.log combined;
	resolver 127.0.0.11 valid=5s ipv6=off;

	map $http_upgrade $connection_upgrade {
		default upgrade;
		"" "";
	}

	server {
		listen ${port};
		server_name _;

		proxy_http_version 1.1;
		proxy_set_header Host $http_host;
		proxy_set_header X-Real-IP $remote_addr;
		proxy_set_header X-Forwarded-For $remote_addr;
		proxy_set_header X-Forwarded-Proto $scheme;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
		proxy_read_timeout 60s;

		location = /proxy-healthz {
			access_log off;
			return 200 "ok\\n";
		}
		location ~ ^/(static|media)/(.*/)?\\. {
			return 404;
		}
		location /static/ {
			alias /srv/static/;
			expires 1h;
		}
		location /media/ {
			alias /srv/media/;
			add_header X-Content-Type-Options nosniff always;
			add_header Content-Security-Policy "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'" always;
		}
		location ~ ^/(api|admin)(/|$) {
			set $backend backend:8000;
			proxy_pass http://$backend;
		}
		location / {
			set $frontend ${frontendAddress};
			proxy_pass http://$frontend;
		}
	}
}
`;
}
