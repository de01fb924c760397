/**
 * Asks an address again and again until its input ends, then prints for how long at most it did not answer, in
 * seconds. A program of its own, so that whoever waits for a command can have it running meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds between two questions, and for an answer: more often would be work for what is measured. */
const interval = 100;
const patience = 1000;

const address = process.argv[2] ?? "";
let ended = false;
process.stdin.on("end", () => {
	ended = true;
});
process.stdin.resume();

let lastAnswer = performance.now();
let longest = 0;
while (!ended) {
	const asked = performance.now();
	const answered = await fetch(address, { signal: AbortSignal.timeout(patience) }).then(
		(response) => response.arrayBuffer().then(() => response.ok),
		() => false,
	);
	const now = performance.now();
	if (answered) {
		longest = Math.max(longest, now - lastAnswer);
		lastAnswer = now;
	}
	await sleep(Math.max(0, interval - (now - asked)));
}
process.stdout.write(`${longest / 1000}\n`);
