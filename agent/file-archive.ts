/**
 * A directory as a compressed tar, by GNU tar: owners, modes, times to the nanosecond, sparse files, links as
 * links. A file that changes while it is read is read again.
 *
 * The way to do that in one archive: tar takes the names of what to archive one by one from its input. After the
 * directory it is given the name of a socket, which it does not archive but remarks on, so its remark says that
 * everything before has been read. The files that changed until then are given to it again; on unpacking, the
 * later copy replaces the earlier one.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hiddenPrefix } from "../recovery/exchange.ts";
import type { Compression } from "../recovery/manifest.ts";
import { start } from "./children.ts";
import { compressor } from "./compressor.ts";
import type { FileSet } from "./config.ts";
import { AgentError } from "./failure.ts";
import { type Pipe, readPipe } from "./pipe.ts";

export interface FileArchive {
	/** The compressed tar. */
	readonly content: AsyncIterable<Buffer>;
	/** Resolves when every program ended well; to be awaited after the content. */
	readonly finished: Promise<FileArchiveFacts>;
}

export interface FileArchiveFacts {
	/** Entries of the tar, a file that was read again counted each time. */
	readonly entries: number;
	/** Everything but directories, each once. */
	readonly files: number;
	/** Bytes of the tar before it was compressed. */
	readonly content: number;
	readonly warnings: readonly string[];
}

/** How often a file that changes is read again, and the pause before each try in milliseconds. */
const rereads = [0, 50, 200, 1000, 3000];
/** How many files a warning names. */
const namedFiles = 20;

export async function archiveFiles(
	{ signal, openPipe }: { readonly signal: AbortSignal; readonly openPipe: () => Promise<Pipe> },
	{ name, directory }: FileSet,
	compression: Compression,
): Promise<FileArchive> {
	const scratch = await mkdtemp(join(tmpdir(), "agent-"));
	const marker = join(scratch, "all-before-this-was-read");
	const server = await listen(marker);
	const talk = new TarTalk(marker);
	const plain = await openPipe();
	const packed = await openPipe();
	const tar = start(
		"tar",
		[
			"--create",
			"--file=-",
			"--format=posix",
			"--pax-option=delete=atime,delete=ctime",
			"--numeric-owner",
			"--sparse",
			// A file that is given a second time would else become a link to itself.
			"--hard-dereference",
			"--absolute-names",
			"--ignore-failed-read",
			"--blocking-factor=128",
			"--quoting-style=escape",
			"--verbose",
			"--totals",
			`--directory=${directory}`,
			"--anchored",
			`--exclude=./${hiddenPrefix}*`,
			"--null",
			"--files-from=-",
		],
		{ signal, stdio: ["pipe", plain.writer.fd, "pipe"], accept: [0, 1], onLine: (line) => talk.take(line) },
	);
	const { command, args } = compressor(compression);
	const packer = start(command, args, { signal, stdio: [plain.reader.fd, packed.writer.fd, "pipe"] });
	// An end kept here would hide the death of the program at the other.
	await Promise.all([plain.reader, plain.writer, packed.writer].map((end) => end.close()));
	tar.exit.catch(() => talk.abandon());

	const steer = async () => {
		const input = tar.child.stdin;
		if (!input) throw new Error("tar has no input");
		input.write(".\0");
		let again = await talk.round(() => input.write(`${marker}\0`));
		let unstable: readonly string[] = again;
		for (const pause of rereads) {
			if (again.length === 0) break;
			await sleep(pause, undefined, { signal });
			for (const file of again) input.write(Buffer.concat([unquoted(file), Buffer.from([0])]));
			again = await talk.round(() => input.write(`${marker}\0`));
			unstable = again;
		}
		input.end();
		return unstable;
	};
	const finished = (async (): Promise<FileArchiveFacts> => {
		try {
			const [steered, ...ends] = await Promise.allSettled([steer(), tar.exit, packer.exit]);
			if (talk.failures.length > 0) {
				throw new AgentError(`${name} could not be read: ${talk.failures.slice(0, 5).join("; ")}`);
			}
			for (const end of ends) if (end.status === "rejected") throw end.reason;
			if (steered.status === "rejected") throw steered.reason;
			return {
				entries: talk.entries,
				files: talk.files,
				content: talk.content,
				warnings: talk.warnings(name, steered.value),
			};
		} finally {
			server.close();
			await rm(scratch, { recursive: true, force: true });
		}
	})();
	finished.catch(() => undefined);
	return { content: readPipe(packed.reader), finished };
}

/** What tar says on stderr, where names of entries and remarks come in the order of the work. */
class TarTalk {
	entries = 0;
	files = 0;
	content = 0;
	readonly failures: string[] = [];
	readonly #marker: string;
	#reread = false;
	#changed = new Set<string>();
	readonly #changedEver = new Set<string>();
	readonly #vanished = new Set<string>();
	readonly #sockets = new Set<string>();
	#roundDone: (() => void) | undefined;
	#abandoned = false;

	constructor(marker: string) {
		this.#marker = marker;
	}

	take(line: string): void {
		const [, total] = /^Total bytes written: (\d+) /.exec(line) ?? [];
		if (total) {
			this.content = Number(total);
			return;
		}
		if (!line.startsWith("tar: ")) {
			this.entries++;
			if (!line.endsWith("/") && !this.#reread) this.files++;
			return;
		}
		const [, file = "", remark = ""] =
			/^tar: (.*?): (socket ignored|file changed as we read it|File shrank by \d+ bytes?; padding with zeros|File removed before we read it|Warning: Cannot (?:stat|open|savedir|readlink): No such file or directory)$/.exec(
				line,
			) ?? [];
		if (file === this.#marker) this.#roundDone?.();
		else if (remark === "socket ignored") this.#sockets.add(file);
		else if (/^File removed|No such file/.test(remark)) this.#vanished.add(file);
		else if (remark !== "") {
			this.#changed.add(file);
			this.#changedEver.add(file);
		} else this.failures.push(line.slice(5).replace("Warning: ", ""));
	}

	/** Resolves with the files that changed, when tar has read everything given to it so far. */
	async round(mark: () => void): Promise<string[]> {
		this.#changed = new Set();
		await new Promise<void>((resolve) => {
			this.#roundDone = resolve;
			if (this.#abandoned) resolve();
			mark();
		});
		this.#reread = true;
		// A directory changes when files come and go in it: what it holds was read, and its times are its last.
		return [...this.#changed].filter((file) => !file.endsWith("/") && file !== ".");
	}

	abandon(): void {
		this.#abandoned = true;
		this.#roundDone?.();
	}

	warnings(name: string, unstable: readonly string[]): string[] {
		const settled = [...this.#changedEver].filter((file) => !unstable.includes(file) && !file.endsWith("/"));
		const say = (files: Iterable<string>, what: string) => {
			const list = [...files];
			if (list.length === 0) return [];
			const more = list.length > namedFiles ? ` and ${list.length - namedFiles} more` : "";
			return [`${name}: ${what}: ${list.slice(0, namedFiles).join(", ")}${more}`];
		};
		return [
			...say(settled, "changed while being read, read again"),
			...say(unstable, "never held still, kept as last read"),
			...say(this.#vanished, "vanished before being read"),
			...say(this.#sockets, "sockets, left out"),
		];
	}
}

/** The bytes of a name that tar has escaped. */
function unquoted(name: string): Buffer {
	const letters: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };
	const bytes: number[] = [];
	const source = Buffer.from(name, "utf8");
	for (let i = 0; i < source.length; i++) {
		const byte = source[i] as number;
		if (byte !== 0x5c) {
			bytes.push(byte);
			continue;
		}
		const octal = /^[0-7]{3}/.exec(source.toString("latin1", i + 1, i + 4));
		if (octal) {
			bytes.push(Number.parseInt(octal[0], 8));
			i += 3;
		} else {
			i++;
			const letter = String.fromCharCode(source[i] ?? 0x5c);
			bytes.push(letters[letter] ?? letter.charCodeAt(0));
		}
	}
	return Buffer.from(bytes);
}

function listen(path: string): Promise<Server> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.on("error", reject);
		server.listen(path, () => resolve(server.unref()));
	});
}
