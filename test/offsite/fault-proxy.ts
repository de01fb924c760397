/** A proxy before an S3 server that injects faults into the requests of the tests' choice. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

/** What a request is, by the names of S3's API. */
export interface Seen {
	readonly operation: string;
	readonly path: string;
	/** Of UploadPart. */
	readonly part: number;
	/** How often this same request has come, this time included. */
	readonly time: number;
}

export type Fault =
	/** The server is not asked. */
	| { readonly answer: number; readonly code: string; readonly date?: string }
	/** The connection ends after these bytes of the request, and nothing reaches the server. */
	| { readonly cutRequestAfter: number }
	/** The server does what it is asked, and its answer never arrives. */
	| "lose the answer"
	/** The connection ends after these bytes of the answer's body. */
	| { readonly cutAnswerAfter: number }
	/** Bytes per second of the request's body. */
	| { readonly slow: number }
	/** One bit of the request's or the answer's body is flipped. */
	| "flip a bit"
	/** As a server that keeps none. */
	| "hide checksums"
	| { readonly before: () => Promise<unknown> };

export class FaultProxy {
	/** Decides for each request; undefined lets it pass. */
	fault: (seen: Seen) => Fault | undefined = () => undefined;
	readonly seen: Seen[] = [];
	readonly #server;
	readonly #upstream: { host: string; port: number };
	readonly #times = new Map<string, number>();

	constructor(upstream: { host: string; port: number }) {
		this.#upstream = upstream;
		this.#server = createServer((request, response) => {
			const { socket } = request;
			this.#handle(request, response, socket).catch(() => socket.destroy());
		});
	}

	async start(host = "127.0.0.1"): Promise<string> {
		await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
		return `http://${host}:${(this.#server.address() as AddressInfo).port}`;
	}

	reset(): void {
		this.fault = () => undefined;
		this.seen.length = 0;
		this.#times.clear();
	}

	count(operation: string): number {
		return this.seen.filter((one) => one.operation === operation).length;
	}

	async stop(): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	async #handle(request: IncomingMessage, response: ServerResponse, socket: Socket): Promise<void> {
		const seen = this.#note(request);
		const fault = this.fault(seen);
		if (typeof fault === "object" && "answer" in fault) {
			request.resume();
			await new Promise((resolve) => request.once("end", resolve));
			response.writeHead(fault.answer, {
				"content-type": "application/xml",
				...(fault.date ? { date: fault.date } : {}),
			});
			response.end(`<Error><Code>${fault.code}</Code><Message>injected</Message></Error>`);
			return;
		}
		if (typeof fault === "object" && "cutRequestAfter" in fault) {
			let taken = 0;
			for await (const chunk of request) {
				taken += chunk.length;
				if (taken >= fault.cutRequestAfter) break;
			}
			socket.destroy();
			return;
		}
		if (typeof fault === "object" && "before" in fault) await fault.before();
		this.#forward(request, response, socket, fault);
	}

	#forward(
		request: IncomingMessage,
		response: ServerResponse,
		socket: Socket,
		fault: Fault | undefined,
	): void {
		const { expect: _, ...headers } = request.headers;
		const { host, port } = this.#upstream;
		const upstream = httpRequest(
			{ host, port, method: request.method, path: request.url, headers },
			(answer) => {
				if (fault === "lose the answer") {
					answer.resume();
					answer.once("end", () => socket.destroy());
					return;
				}
				const answerHeaders = { ...answer.headers };
				if (fault === "hide checksums") {
					for (const name of Object.keys(answerHeaders))
						if (name.startsWith("x-amz-checksum")) delete answerHeaders[name];
				}
				response.writeHead(answer.statusCode ?? 502, answerHeaders);
				if (typeof fault === "object" && "cutAnswerAfter" in fault) {
					let given = 0;
					answer.on("data", (chunk: Buffer) => {
						const rest = fault.cutAnswerAfter - given;
						given += chunk.length;
						response.write(chunk.subarray(0, Math.max(0, rest)), () => {
							if (given >= fault.cutAnswerAfter) socket.destroy();
						});
					});
					answer.once("end", () => response.end());
				} else if (fault === "flip a bit" && request.method === "GET") answer.pipe(flipped()).pipe(response);
				else answer.pipe(response);
			},
		);
		upstream.on("error", () => socket.destroy());
		const isSlow = typeof fault === "object" && "slow" in fault;
		const body = isSlow ? request.pipe(slowed(fault.slow)) : request;
		if (fault === "flip a bit" && request.method !== "GET") body.pipe(flipped()).pipe(upstream);
		else body.pipe(upstream);
	}

	#note(request: IncomingMessage): Seen {
		const url = new URL(request.url ?? "/", "http://proxy");
		const has = (name: string) => url.searchParams.has(name);
		const { method } = request;
		const isIndex = url.pathname.endsWith(".json");
		const operation = has("partNumber")
			? "UploadPart"
			: has("uploads")
				? method === "POST"
					? "CreateMultipartUpload"
					: "ListMultipartUploads"
				: has("uploadId")
					? method === "DELETE"
						? "AbortMultipartUpload"
						: "CompleteMultipartUpload"
					: has("tagging")
						? `${method === "PUT" ? "Put" : "Get"}Tags`
						: has("list-type")
							? "List"
							: `${({ PUT: "Put", GET: "Get", HEAD: "Head" } as Record<string, string>)[method ?? ""] ?? method}${isIndex ? "Index" : "Archive"}`;
		const part = Number(url.searchParams.get("partNumber") ?? 0);
		const same = `${operation} ${url.pathname} ${part}`;
		const time = (this.#times.get(same) ?? 0) + 1;
		this.#times.set(same, time);
		const seen = { operation, path: url.pathname, part, time };
		this.seen.push(seen);
		return seen;
	}
}

function slowed(bytesPerSecond: number): Transform {
	return new Transform({
		transform(chunk: Buffer, _, done) {
			sleep((chunk.length / bytesPerSecond) * 1000).then(() => done(null, chunk));
		},
	});
}

function flipped(): Transform {
	let isDone = false;
	return new Transform({
		transform(chunk: Buffer, _, done) {
			const copy = Buffer.from(chunk);
			if (!isDone && copy.length > 0) copy[0] = (copy[0] as number) ^ 1;
			isDone = true;
			done(null, copy);
		},
	});
}
