import { count } from "../output.ts";

/** Something did not answer in its time. */
export class TooSlowError extends Error {
	override readonly name = "TooSlowError";
}

/** @throws TooSlowError when the work takes longer; nobody waits for it then. */
export async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, fail) => {
		timer = setTimeout(
			() => fail(new TooSlowError(`not known: no answer within ${count(seconds, "second")}`)),
			seconds * 1000,
		);
	});
	work.catch(() => undefined);
	try {
		return await Promise.race([work, late]);
	} finally {
		clearTimeout(timer);
	}
}
