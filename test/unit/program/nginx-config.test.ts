/** The text of nginx's configuration; that nginx takes it is proved where nginx runs. */
import { expect, test } from "@jest/globals";
import { nginxConfig } from "../../../components/nginx-config.ts";

const config = nginxConfig({ port: 8080, maxUploadMb: 25, frontendAddress: "frontend:5173" });

/** The body of a location, by its head. */
function location(head: string): string {
	const start = config.indexOf(`location ${head} {`);
	if (start < 0) throw new Error(`there is no location ${head}`);
	return config.slice(start, config.indexOf("}", start));
}

test("uploads are served as data and can run nothing in the application's own origin", () => {
	expect(location("/media/")).toContain("X-Content-Type-Options nosniff always");
	expect(location("/media/")).toContain("sandbox; default-src 'none'");
});

test("static files and uploads come from their volumes", () => {
	expect(location("/static/")).toContain("alias /srv/static/;");
	expect(location("/media/")).toContain("alias /srv/media/;");
});

test("hidden names in the volumes are denied, because restores stage there", () => {
	const denied = /location ~ (\S+) \{\s*return 404;/.exec(config)?.[1];
	expect(denied).toBeDefined();
	const pattern = new RegExp(denied as string);
	for (const path of ["/media/.restore/x", "/media/a/.b", "/static/.x"]) expect(path).toMatch(pattern);
	for (const path of ["/media/a.b", "/static/css/site.css", "/api/.x"]) expect(path).not.toMatch(pattern);
});

test("the application and its admin go to the backend, and names that only begin alike do not", () => {
	const routed = /location ~ (\S+) \{\s*set \$backend backend:8000;/.exec(config)?.[1];
	expect(routed).toBeDefined();
	const pattern = new RegExp(routed as string);
	for (const path of ["/api", "/api/healthz", "/admin", "/admin/"]) expect(path).toMatch(pattern);
	for (const path of ["/", "/apiary", "/administrator"]) expect(path).not.toMatch(pattern);
});

test("upstreams are looked up at each request, so that a replaced container is found", () => {
	expect(config).toContain("resolver 127.0.0.11");
	expect(config.match(/proxy_pass http:\/\/\$/g)).toHaveLength(2);
	expect(config).not.toContain("upstream ");
	expect(location("/")).toContain("set $frontend frontend:5173;");
});

test("requests up to the set size are accepted", () => {
	expect(config).toContain("client_max_body_size 25m;");
});

test("a client cannot claim to come from another address", () => {
	expect(config).toContain("proxy_set_header X-Forwarded-For $remote_addr;");
	expect(config).not.toContain("$proxy_add_x_forwarded_for");
});
