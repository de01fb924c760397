import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { openPipes, openPipesAhead, readPipe, writePipe } from "../../agent/pipe.ts";

/** Ends of pipes of the agent that this process holds. */
function openEnds(): string[] {
	return readdirSync("/proc/self/fd").filter((fd) => {
		try {
			return readlinkSync(`/proc/self/fd/${fd}`).includes("agent-pipe-");
		} catch {
			return false;
		}
	});
}

test("what is written comes out, and the end of the writer is the end", async () => {
	const { signal } = new AbortController();
	const { first, second } = await openPipes(["first", "second"], signal);
	for (const [pipe, text] of [
		[second, "two"],
		[first, "one"],
	] as const) {
		await writePipe(pipe.writer, Buffer.from(text));
		await pipe.writer.close();
		const read: string[] = [];
		for await (const chunk of readPipe(pipe.reader)) read.push(chunk.toString());
		expect(read.join("")).toBe(text);
	}
	expect(openEnds()).toEqual([]);
});

test("pipes opened ahead are each another, and one more is opened when they are used up", async () => {
	const run = new AbortController();
	const next = openPipesAhead(2, run.signal);
	const pipes = await Promise.all([next(), next(), next()]);
	expect(new Set(pipes.flatMap(({ reader, writer }) => [reader.fd, writer.fd])).size).toBe(6);
	run.abort();
	await sleep(50);
	expect(openEnds()).toEqual([]);
});

test("a run that ends while its pipes are being opened waits for nobody and leaves none open", async () => {
	// Many, so that it takes a while.
	const names = Array.from({ length: 40 }, (_, i) => String(i));
	for (let milliseconds = 0; milliseconds < 80; milliseconds++) {
		const run = new AbortController();
		const opening = openPipes(names, run.signal);
		const outcome = opening.then(
			() => "opened",
			() => "ended",
		);
		await sleep(milliseconds);
		run.abort();
		expect(["opened", "ended"]).toContain(await outcome);
	}
	await sleep(50);
	expect(openEnds()).toEqual([]);
}, 30_000);
