import { EngineError } from "../../errors.ts";
import type { Provider } from "../provider.ts";
import { dockerClient, labelMap, orMissing } from "./docker-client.ts";

interface NetworkInputs {
	name: string;
	driver?: string;
	internal?: boolean;
	labels?: { label: string; value: string }[];
}

/** docker:index/network:Network. */
export const networkProvider: Provider = {
	effect: () => "replace",
	unordered: ["labels"],
	computed: ["scope", "ipamConfigs"],
	deleteBeforeReplace: (before, after) => before.name === after.name,
	async create(inputs, { interrupted }) {
		const { name, driver, internal, labels } = inputs as unknown as NetworkInputs;
		const docker = dockerClient();
		const existing = await docker.listNetworks({ filters: { name: [name] } });
		for (const network of existing.filter((candidate) => candidate.Name === name)) {
			if (!interrupted) {
				throw new EngineError(
					`network ${name} exists and is not in this stack's state, so it was left as it is. Remove it (docker network rm ${name}), or choose another prefix.`,
				);
			}
			await docker.getNetwork(network.Id).remove();
		}
		const created = await docker.createNetwork({
			Name: name,
			CheckDuplicate: true,
			Driver: driver,
			Internal: internal ?? false,
			Labels: labelMap(labels),
		});
		return { id: created.id, outputs: { ...inputs, scope: "local" } };
	},
	async read(id, outputs) {
		return (await orMissing(dockerClient().getNetwork(id).inspect())) && { outputs };
	},
	async delete(id) {
		await orMissing(dockerClient().getNetwork(id).remove());
	},
};
