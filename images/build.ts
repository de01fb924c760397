import { createGzip } from "node:zlib";
import Docker from "dockerode";
import { BuildLog } from "./build-log.ts";
import { type ContextSource, packContext, readContext } from "./context.ts";

export { type ContextSource, contextDigest, type ExtraFile } from "./context.ts";

/** What `buildImage` needs to know. */
export interface BuildRequest extends ContextSource {
	/** Full name of the result, `repository:tag`. */
	tag: string;
	/** Build arguments. They are visible in the image's history: no secrets. @default {} */
	args?: Record<string, string>;
	/** Stage to build. @default the last one */
	target?: string;
	/** Labels of the image. @default {} */
	labels?: Record<string, string>;
	/** Called with each line of the build's log as it comes. @default nothing */
	onLog?: (line: string) => void;
	/** Connection to the engine. @default the one the environment names */
	docker?: Docker;
	/** Ends the build. @default never */
	signal?: AbortSignal;
}

/** A build that failed; the message ends with the last lines of its log. */
export class BuildError extends Error {
	override name = "BuildError";
	/** Every line that the build wrote. */
	readonly log: string[];

	constructor(message: string, log: string[]) {
		super(message);
		this.log = log;
	}
}

/** How many of the last log lines an error shows: a failing apt or npm says why within them. */
const shownLines = 40;

/** One JSON message of the build stream. */
interface BuildEvent {
	id?: string;
	error?: string;
	aux?: unknown;
}

/**
 * Builds an image with BuildKit through the Docker API and resolves when the engine holds it under its tag.
 *
 * The context is packed here (see `readContext` for what is sent): no `docker` program, no buildx is needed.
 * The proxy variables of this process (`HTTP_PROXY`, …) are handed to the build, as Docker's client can.
 *
 * @returns the image's id, `sha256:…`.
 * @throws BuildError with the last lines of the log; the tag then still names what it named before.
 */
export async function buildImage(request: BuildRequest): Promise<{ id: string }> {
	const docker = request.docker ?? new Docker();
	const context = await readContext(request);
	const lines: string[] = [];
	const log = new BuildLog((line) => {
		lines.push(line);
		request.onLog?.(line);
	});
	const archive = packContext(context);
	const compressed = archive.pipe(createGzip({ level: 1 }));
	archive.on("error", (error) => compressed.destroy(error));

	let failure: string | undefined;
	try {
		const stream = await docker.buildImage(compressed, {
			version: "2",
			t: request.tag,
			dockerfile: context.dockerfileName,
			buildargs: { ...proxySettings(process.env), ...request.args },
			labels: request.labels,
			target: request.target,
			abortSignal: request.signal,
		});
		await new Promise<void>((resolve, reject) => {
			docker.modem.followProgress(
				stream,
				(error: Error | null) => (error ? reject(error) : resolve()),
				(event: BuildEvent) => {
					if (event.error !== undefined) failure = event.error;
					if (event.id === "moby.buildkit.trace" && typeof event.aux === "string") log.add(event.aux);
				},
			);
		});
	} catch (error) {
		failure ??= (error as Error).message;
	}
	log.end();
	if (failure !== undefined) throw new BuildError(describe(request.tag, failure, lines), lines);
	// The engine may name the id before the tag is set, so the tag is what is asked.
	const { Id: id } = await docker.getImage(request.tag).inspect();
	return { id };
}

/** Proxy variables of an environment, which every Dockerfile accepts without declaring them. */
export function proxySettings(environment: NodeJS.ProcessEnv): Record<string, string> {
	const names = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];
	const found: Record<string, string> = {};
	for (const name of names.flatMap((name) => [name, name.toLowerCase()])) {
		const value = environment[name];
		if (value) found[name] = value;
	}
	return found;
}

function describe(tag: string, failure: string, log: string[]): string {
	const tail = log.slice(-shownLines).map((line) => `    ${line}`);
	return [`Building the image ${tag} failed: ${failure.trim().replace(/\s+/g, " ")}`, ...tail].join("\n");
}
