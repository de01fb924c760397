/** Where the helper of a restore has what it works on. */
import { existsSync } from "node:fs";
import type { RestoreTarget } from "../../recovery/restore-journal.ts";
import { AgentError } from "../failure.ts";

/** Directory of the archive. */
export const sourceDirectory = "/source";

const targetsDirectory = "/targets";

/** Volumes whose content is exchanged. */
export const volumeTargets = ["media", "static", "redis"] as const satisfies readonly RestoreTarget[];
export type VolumeTarget = (typeof volumeTargets)[number];

export function mountOf(target: RestoreTarget): string {
	return `${targetsDirectory}/${target}`;
}

export function isMounted(target: RestoreTarget): boolean {
	return existsSync(mountOf(target));
}

/** @throws AgentError when the volume is not mounted: it would be forgotten else. */
export function requireMount(target: RestoreTarget): string {
	if (!isMounted(target)) {
		throw new AgentError(`the volume of ${target} is not mounted at ${mountOf(target)}; nothing was changed`);
	}
	return mountOf(target);
}
