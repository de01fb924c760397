import protobuf from "google-protobuf";

/**
 * Turns BuildKit's status messages into lines of text.
 *
 * The engine sends them as base64 of `moby.buildkit.v1.StatusResponse` under the id `moby.buildkit.trace`.
 * Only four fields are of interest here: a step's name and error, a log record's step and bytes.
 * (dockerode 5.0.1 has a decoder, but it leaves the log records in base64.)
 */
export class BuildLog {
	readonly #write: (line: string) => void;
	readonly #announced = new Set<string>();
	readonly #unfinished = new Map<string, string>();

	/** @param write called with each whole line. */
	constructor(write: (line: string) => void) {
		this.#write = write;
	}

	/** Takes the `aux` value of one trace message. */
	add(base64: string): void {
		const status = decodeStatus(Buffer.from(base64, "base64"));
		for (const step of status.steps) {
			if (step.started && step.name !== "" && !this.#announced.has(step.digest)) {
				this.#announced.add(step.digest);
				this.#write(step.name.replace(/\s+/g, " "));
			}
			if (step.error !== "") this.#write(`ERROR: ${step.error.replace(/\s+/g, " ")}`);
		}
		for (const record of status.logs) this.#addText(record.step, record.text);
	}

	/** Writes what came without a final newline. */
	end(): void {
		for (const rest of this.#unfinished.values()) this.#line(rest);
		this.#unfinished.clear();
	}

	// Steps run side by side and records end anywhere, so each step has its own unfinished line.
	#addText(step: string, text: string): void {
		const lines = ((this.#unfinished.get(step) ?? "") + text).split("\n");
		this.#unfinished.set(step, lines.pop() ?? "");
		for (const line of lines) this.#line(line);
	}

	#line(line: string): void {
		// A carriage return overwrites: of a progress display only the last state remains.
		const visible = line.trimEnd().split("\r").at(-1) ?? "";
		if (visible.trim() !== "") this.#write(visible);
	}
}

interface Status {
	steps: { digest: string; name: string; started: boolean; error: string }[];
	logs: { step: string; text: string }[];
}

/** Field numbers from BuildKit's `api/services/control/control.proto`. */
function decodeStatus(bytes: Uint8Array): Status {
	const status: Status = { steps: [], logs: [] };
	eachField(new protobuf.BinaryReader(bytes), (field, reader) => {
		const part = () => new protobuf.BinaryReader(reader.readBytes());
		if (field === 1) status.steps.push(decodeStep(part()));
		else if (field === 3) status.logs.push(decodeRecord(part()));
		else reader.skipField();
	});
	return status;
}

function decodeStep(step: protobuf.BinaryReader): Status["steps"][number] {
	const result = { digest: "", name: "", started: false, error: "" };
	eachField(step, (field, reader) => {
		if (field === 1) result.digest = reader.readString();
		else if (field === 3) result.name = reader.readString();
		else if (field === 7) result.error = reader.readString();
		else {
			if (field === 5) result.started = true;
			reader.skipField();
		}
	});
	return result;
}

function decodeRecord(record: protobuf.BinaryReader): Status["logs"][number] {
	const result = { step: "", text: "" };
	eachField(record, (field, reader) => {
		if (field === 1) result.step = reader.readString();
		else if (field === 4) result.text = Buffer.from(reader.readBytes()).toString("utf8");
		else reader.skipField();
	});
	return result;
}

function eachField(
	reader: protobuf.BinaryReader,
	take: (field: number, reader: protobuf.BinaryReader) => void,
): void {
	while (reader.nextField()) take(reader.getFieldNumber(), reader);
}
