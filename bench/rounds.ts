/**
 * Everything that is compared, one after the other, again and again: a machine that others share is slow for
 * minutes at a time, and what was measured within one round was measured in the same weather.
 */

const rounds = 3;

/** @returns what was measured in each round. */
export async function inRounds<T>(measure: () => Promise<T>): Promise<T[]> {
	const measured: T[] = [];
	while (measured.length < rounds) measured.push(await measure());
	return measured;
}

/** The value in the middle. */
export function median(values: readonly number[]): number {
	return values.toSorted((one, other) => one - other)[values.length >> 1] as number;
}

/** `4.21 s`, the middle of the rounds. */
export function seconds(values: readonly number[]): string {
	return `${median(values).toFixed(2)} s`.padStart(9);
}

/** The ratio in each round: its middle, and from which to which it was. */
export function ratios(
	dividends: readonly number[],
	divisors: readonly number[],
	digits: number,
): { middle: string; range: string } {
	const all = dividends.map((dividend, round) => dividend / (divisors[round] as number));
	const range = [Math.min(...all), Math.max(...all)].map((ratio) => ratio.toFixed(digits));
	return { middle: median(all).toFixed(digits), range: range.join(" to ") };
}
