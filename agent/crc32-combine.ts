/** CRC-32 of two byte strings one after the other, from the CRCs of each: bytes that were hashed elsewhere. */

const polynomial = 0xedb88320;

/** Product of two polynomials over GF(2), modulo the CRC's. */
function multiply(a: number, b: number): number {
	let product = 0;
	let factor = b;
	for (let bit = 0x80000000; bit !== 0; bit >>>= 1) {
		if (a & bit) product ^= factor;
		factor = factor & 1 ? (factor >>> 1) ^ polynomial : factor >>> 1;
	}
	return product >>> 0;
}

/** x^(2^n), for n from 0 to 31; it repeats after that. */
const squares: number[] = [0x40000000];
for (let n = 1; n < 32; n++) squares.push(multiply(squares[n - 1] as number, squares[n - 1] as number));

/** As zlib's crc32_combine; `secondLength` in bytes. */
export function crc32Combine(first: number, second: number, secondLength: number): number {
	let shift = 0x80000000;
	// A byte is x^8, so the bits of the length count from x^(2^3).
	for (let length = secondLength, n = 3; length > 0; length = Math.floor(length / 2), n++) {
		if (length % 2 === 1) shift = multiply(squares[n % 32] as number, shift);
	}
	return (multiply(shift, first) ^ second) >>> 0;
}
