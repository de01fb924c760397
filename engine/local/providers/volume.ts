import type { Provider } from "../provider.ts";
import type { Properties } from "../values.ts";
import { dockerClient, labelMap, orMissing } from "./docker-client.ts";

interface VolumeInputs {
	name: string;
	driver?: string;
	driverOpts?: Record<string, string>;
	labels?: { label: string; value: string }[];
}

/** docker:index/volume:Volume. Creating a volume that exists gives that volume, with its data and its labels. */
export const volumeProvider: Provider = {
	effect: () => "replace",
	unordered: ["labels"],
	computed: ["mountpoint"],
	deleteBeforeReplace: (before, after) => before.name === after.name,
	async create(inputs) {
		const { name, driver, driverOpts, labels } = inputs as unknown as VolumeInputs;
		const options = { Name: name, Driver: driver, DriverOpts: driverOpts, Labels: labelMap(labels) };
		await dockerClient().createVolume(options);
		const { Mountpoint: mountpoint } = await dockerClient().getVolume(name).inspect();
		return { id: name, outputs: { ...inputs, mountpoint } };
	},
	async read(id, outputs) {
		const found = await orMissing(dockerClient().getVolume(id).inspect());
		return found && { outputs: { ...outputs, mountpoint: found.Mountpoint } as Properties };
	},
	async delete(id) {
		await orMissing(dockerClient().getVolume(id).remove());
	},
};
