/**
 * A process that takes locks, for lock.test.ts.
 *
 * Arguments: directory, number of locks, time at which the first is taken (epoch ms), ms from one to the next.
 * Prints the numbers of the locks that it got, and holds them until its standard input ends or it is killed.
 */
import { join } from "node:path";
import { acquireLock, LockedError } from "../../../recovery/lock.ts";

const [directory = "", count = "1", start = "0", step = "0"] = process.argv.slice(2);
const won: number[] = [];
for (let round = 0; round < Number(count); round++) {
	// Busy waiting: all contenders have to be at it in the same millisecond.
	while (Date.now() < Number(start) + round * Number(step));
	try {
		acquireLock(join(directory, `${round}.lock`), "contend");
		won.push(round);
	} catch (error) {
		if (!(error instanceof LockedError)) throw error;
	}
}
process.stdout.write(`${JSON.stringify(won)}\n`);
process.stdin.resume();
