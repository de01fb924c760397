/** Which of the host's volumes are a stack's. Imports nothing of Pulumi: the operator's commands ask it too. */
import { type VolumeKey, volumeCatalogue } from "./catalogue.ts";
import type { FoundVolume } from "./docker-host.ts";
import { GuardError } from "./guard-error.ts";
import { ownerOf, type StackIdentity, volumeName } from "./identity.ts";

/**
 * Finds the volumes that this stack owns, by label, or adopts, by name.
 *
 * @returns the volumes by catalogue key; what does not exist is absent.
 * @throws GuardError when two volumes say that they are the same one.
 */
export function findVolumes<Volume extends FoundVolume>(
	identity: StackIdentity,
	adopt: readonly string[],
	volumes: readonly Volume[],
): Partial<Record<VolumeKey, Volume>> {
	const found: Partial<Record<VolumeKey, Volume>> = {};
	for (const { key } of volumeCatalogue) {
		const name = volumeName(identity, key);
		const volume = ownVolume(identity, key, volumes) ?? adoptedVolume(name, key, adopt, volumes);
		if (volume) found[key] = volume;
	}
	return found;
}

function ownVolume<Volume extends FoundVolume>(
	identity: StackIdentity,
	key: VolumeKey,
	volumes: readonly Volume[],
): Volume | undefined {
	const own = volumes.filter((volume) => volume.owner === ownerOf(identity.stack) && volume.key === key);
	const exact = own.find((volume) => volume.name === volumeName(identity, key));
	if (own.length > 1 && !exact) {
		const names = own.map((volume) => volume.name).join(" and ");
		throw new GuardError(
			`the volumes ${names} both say that they are ${key} of stack ${identity.stack}; nothing was changed. Look into both and remove the one that is not needed (docker volume rm NAME).`,
		);
	}
	return exact ?? own[0];
}

/** Compose puts a project's name before a volume's: `shop_app-postgres-data` is adopted as postgres-data. */
function adoptedVolume<Volume extends FoundVolume>(
	name: string,
	key: VolumeKey,
	adopt: readonly string[],
	volumes: readonly Volume[],
): Volume | undefined {
	const adopted = adopt.find(
		(candidate) => candidate === name || new RegExp(`(^|[-_])${key}$`).test(candidate),
	);
	return volumes.find((volume) => volume.name === adopted);
}
