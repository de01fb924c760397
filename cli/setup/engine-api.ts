import { request } from "node:http";

/** What the engine answered. */
export interface EngineAnswer {
	/** HTTP status. */
	status: number;
	body: string;
}

/**
 * One GET on the Docker API.
 *
 * A socket or plain TCP is spoken to directly: the questions of the set-up (is it there, is the image there)
 * come with every command, and loading a Docker library would take longer than the answer. TLS and ssh go
 * through dockerode.
 *
 * @param host as in DOCKER_HOST.
 * @param timeout milliseconds without an answer. @default 5000
 * @throws Error of the connection, with its `code` (ENOENT, EACCES, ECONNREFUSED), or ETIMEDOUT.
 */
export async function engineGet(host: string, path: string, timeout = 5000): Promise<EngineAnswer> {
	const address = directAddress(host);
	if (address === undefined) return getThroughLibrary(host, path, timeout);
	return new Promise((resolve, reject) => {
		const call = request({ ...address, path, timeout, headers: { Host: "docker" } }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (text: string) => {
				body += text;
			});
			response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
			response.on("error", reject);
		});
		call.on("timeout", () => call.destroy(timedOut(host, timeout)));
		call.on("error", reject);
		call.end();
	});
}

/** Whether the engine at a host answers; an error otherwise, as from `engineGet`. */
export async function ping(host: string, timeout = 3000): Promise<void> {
	const { status } = await engineGet(host, "/_ping", timeout);
	if (status !== 200) throw new Error(`${host} answers with HTTP status ${status}`);
}

/** The address for Node's HTTP client; undefined where it takes more than that. */
export function directAddress(
	host: string,
): { socketPath: string } | { host: string; port: number } | undefined {
	if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
	if (host.startsWith("tcp://") && !process.env.DOCKER_TLS_VERIFY) {
		const url = new URL(host);
		return { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 2375) };
	}
	return undefined;
}

/** A dockerode connection to a host. Loaded only when asked for. */
export async function connect(host: string) {
	const { default: Docker } = await import("dockerode");
	const address = directAddress(host);
	if (address !== undefined) {
		return new Docker("socketPath" in address ? address : { ...address, protocol: "http" });
	}
	// The library reads ssh and TLS settings from the environment, as docker itself does.
	process.env.DOCKER_HOST = host;
	return new Docker();
}

async function getThroughLibrary(host: string, path: string, timeout: number): Promise<EngineAnswer> {
	const docker = await connect(host);
	return new Promise((resolve, reject) => {
		const timer = setTimeout(() => reject(timedOut(host, timeout)), timeout);
		const options = { path, method: "GET", statusCodes: { 200: true } };
		docker.modem.dial(options, (error: (Error & { statusCode?: number }) | null, body: unknown) => {
			clearTimeout(timer);
			if (error && error.statusCode === undefined) reject(error);
			else resolve({ status: error?.statusCode ?? 200, body: error?.message ?? JSON.stringify(body) });
		});
	});
}

function timedOut(host: string, timeout: number): Error {
	return Object.assign(new Error(`${host} did not answer within ${timeout / 1000} s`), { code: "ETIMEDOUT" });
}
