/** Headers of the outer tar: plain files of root, mode 600. */

export const tarBlock = 512;
/** Two empty blocks end a tar. */
export const tarEnd = Buffer.alloc(2 * tarBlock);

const largestOctal = 0o77777777777;

/** Header of a file; sizes beyond 8 GiB in the base-256 form that GNU tar, Python and libarchive read. */
export function tarHeader(name: string, size: number, modified: Date): Buffer {
	const header = Buffer.alloc(tarBlock);
	if (Buffer.byteLength(name) > 100) throw new Error(`the name ${name} is too long for a tar header`);
	header.write(name, 0);
	header.write(octal(0o600, 7), 100);
	header.write(octal(0, 7), 108);
	header.write(octal(0, 7), 116);
	if (size <= largestOctal) {
		header.write(octal(size, 11), 124);
	} else {
		header[124] = 0x80;
		header.writeBigUInt64BE(BigInt(size), 128);
	}
	header.write(octal(Math.floor(modified.getTime() / 1000), 11), 136);
	header.write("        0", 148);
	header.write("ustar\u000000", 257, "latin1");
	header.write("root", 265);
	header.write("root", 297);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${octal(sum, 6)}\0 `, 148);
	return header;
}

/** Zeros that fill the last block of a file of `size` bytes. */
export function tarPadding(size: number): Buffer {
	return Buffer.alloc((tarBlock - (size % tarBlock)) % tarBlock);
}

function octal(value: number, digits: number): string {
	return value.toString(8).padStart(digits, "0");
}
