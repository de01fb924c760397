/** Whoever takes chunks whose memory is used again must be done with each before the next. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { start } from "../../agent/children.ts";
import { feed } from "../../agent/scratch-database.ts";

test("what is fed to a program is what was read", async () => {
	const directory = mkdtempSync(join(tmpdir(), "reused-memory-"));
	try {
		const file = join(directory, "copy");
		const memory = Buffer.alloc(100_000);
		const expected: Buffer[] = [];
		const source = async function* () {
			for (let turn = 0; turn < 200; turn++) {
				const chunk = memory.subarray(0, 1 + ((turn * 7919) % memory.length));
				chunk.fill(turn);
				expected.push(Buffer.from(chunk));
				yield chunk;
			}
		};
		const { signal } = new AbortController();
		await feed(
			source(),
			start("dd", [`of=${file}`, "status=none"], { signal, stdio: ["pipe", "pipe", "pipe"] }),
		);
		expect(readFileSync(file).equals(Buffer.concat(expected))).toBe(true);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
});
