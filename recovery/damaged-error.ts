/** Damage found in an archive; the message says where. */
export class DamagedError extends Error {
	override readonly name = "DamagedError";
}
