/** Damage found in an archive; the message says where. */
export class DamagedError extends Error {
	override readonly name = "DamagedError";
}

/** The key does not open an archive whose stored bytes are the ones that were written. */
export class WrongKeyError extends Error {
	override readonly name = "WrongKeyError";

	constructor(file: string, reason: string) {
		super(
			`${file} is stored as it was written, and this key does not open it (${reason}); nothing was noted. Give the private key of one of its recipients.`,
		);
	}
}
