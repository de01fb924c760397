import { join } from "node:path";
import { acquireLock, type Lock } from "../../recovery/lock.ts";

/**
 * Only one at a time uploads for a stack, or writes down what is in its bucket. It is not the stack's own lock:
 * an upload may take hours, and whoever makes or restores recovery points meanwhile is not held up.
 *
 * @throws LockedError when a living owner has it.
 */
export function uploadLock(directory: string, stack: string): Lock {
	return acquireLock(join(directory, `.${stack}.offsite.lock`), "offsite upload");
}
