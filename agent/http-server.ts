/** `/healthz` and `/metrics`, for the host. */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { networkInterfaces } from "node:os";
import type { Watch } from "./alarms/watch.ts";
import { currentState } from "./current-state.ts";
import type { RunContext } from "./recovery-point.ts";

const routeTable = "/proc/net/route";

interface Answer {
	readonly status: number;
	readonly type: string;
	readonly body: string;
}

type Route = (context: RunContext, watch: Watch) => Promise<Answer>;

const routes: Readonly<Record<string, Route>> = {
	"/healthz": async ({ config }) => {
		const { fresh, reason = null, newest } = await currentState(config);
		const body = { healthy: fresh, reason, newest: newest?.file ?? null };
		return { status: fresh ? 200 : 503, type: "application/json", body: `${JSON.stringify(body)}\n` };
	},
	"/metrics": async ({ config }, watch) => {
		// Loaded only where it is asked for.
		const { renderMetrics } = await import("./metrics.ts");
		const { deliveries } = watch.alarms ?? {};
		const state = await currentState(config);
		const { contentType, text } = await renderMetrics({ config, state, deliveries, ...watch.measured });
		return { status: 200, type: contentType, body: text };
	},
};

/**
 * Serves them until the signal comes. A port that cannot be had is reported, and fails no backup.
 *
 * @returns the end of it.
 */
export function serve(context: RunContext, watch: Watch): () => void {
	const { config, report } = context;
	const server = createServer((request, response) => {
		void answer(context, watch, request).then(
			(given) => send(response, request, given),
			(error: Error) =>
				send(response, request, { status: 503, type: "text/plain", body: `${error.message}\n` }),
		);
	});
	server.requestTimeout = 10_000;
	server.maxConnections = 32;
	const host = outwardAddress();
	server.on("error", (error) => {
		report({ event: "warning", message: `no metrics at port ${config.metricsPort}: ${error.message}` });
	});
	server.listen({ host, port: config.metricsPort }, () => {
		report({ event: "step", step: `metrics at http://${host}:${config.metricsPort}/metrics` });
	});
	return () => {
		server.close();
		server.closeAllConnections();
	};
}

async function answer(
	context: RunContext,
	watch: Watch,
	{ method, url = "/" }: IncomingMessage,
): Promise<Answer> {
	if (method !== "GET" && method !== "HEAD") {
		return { status: 405, type: "text/plain", body: "GET only\n" };
	}
	const route = routes[url.split("?")[0] ?? ""];
	if (!route) return { status: 404, type: "text/plain", body: `${Object.keys(routes).join("\n")}\n` };
	return await route(context, watch);
}

function send(response: ServerResponse, { method }: IncomingMessage, { status, type, body }: Answer): void {
	response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
	response.end(method === "HEAD" ? undefined : body);
}

/**
 * The address on the network with the way out, through which the host reaches a published port. The other
 * network is that of the database and the backend, which have no business here.
 */
function outwardAddress(): string {
	const table = existsSync(routeTable) ? readFileSync(routeTable, "utf8") : "";
	const routes = table.split("\n").slice(1);
	const [name = ""] =
		routes.map((line) => line.split("\t")).find(([, target]) => target === "00000000") ?? [];
	const address = networkInterfaces()[name]?.find(({ family }) => family === "IPv4");
	return address?.address ?? "127.0.0.1";
}
