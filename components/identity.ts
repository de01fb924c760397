/**
 * Names and labels by which the objects of one stack are recognised.
 *
 * Containers and networks are found by label. Volumes are found by the owner label too, so that they stay
 * the stack's own when its prefix is edited, and by exact name where the settings adopt a stranger's.
 */
import type { ServiceName, VolumeKey } from "./catalogue.ts";
import { projectName } from "./settings.ts";

/** Label keys; part of every object in the field, so they are never edited. */
export const labelKeys = {
	/** `<project>/<stack>`: whose the object is. */
	owner: "persistent-stack.owner",
	/** On containers: the service's name. */
	service: "persistent-stack.service",
	/** On volumes: the catalogue's key. */
	volume: "persistent-stack.volume",
} as const;

/** Networks: `edge` and `egress` reach the outside, `data` does not. */
export type NetworkName = "edge" | "data" | "egress";

/** Everything that names the objects of a stack. */
export interface StackIdentity {
	readonly stack: string;
	readonly prefix: string;
}

/** Value of the owner label. */
export function ownerOf(stack: string): string {
	return `${projectName}/${stack}`;
}

export function containerName(identity: StackIdentity, service: ServiceName): string {
	return `${identity.prefix}-${service}`;
}

/** Name that a volume gets when it is first made; one that exists keeps its own, whatever the prefix. */
export function volumeName(identity: StackIdentity, key: VolumeKey): string {
	return `${identity.prefix}-${key}`;
}

export function networkName(identity: StackIdentity, name: NetworkName): string {
	return `${identity.prefix}-${name}`;
}

/** Labels as the Docker provider takes them. */
export function labelList(labels: Readonly<Record<string, string>>): { label: string; value: string }[] {
	return Object.entries(labels).map(([label, value]) => ({ label, value }));
}

/** Database and role of the application; scripts rely on these names. */
export const databaseName = "backend_db";
export const databaseUser = "postgres";
