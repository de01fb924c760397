import type Docker from "dockerode";
import { EngineError } from "../../errors.ts";
import type { Provider } from "../provider.ts";
import type { Properties } from "../values.ts";
import { dockerClient, orMissing } from "./docker-client.ts";

/** docker:index/remoteImage:RemoteImage, with `keepLocally`: pulled where it is missing, never removed. */
export const remoteImageProvider: Provider = {
	effect: (property) => (property === "name" ? "replace" : "update"),
	computed: ["imageId", "repoDigest"],
	async create(inputs, { log }) {
		const name = inputs.name as string;
		let image = await orMissing(dockerClient().getImage(name).inspect());
		if (!image) {
			log(`pulling ${name}`);
			await pull(name);
			image = await dockerClient().getImage(name).inspect();
		}
		return { id: image.Id + name, outputs: { ...inputs, ...identity(image) } };
	},
	async update(_id, _before, after) {
		return {
			...after,
			...identity(
				await dockerClient()
					.getImage(after.name as string)
					.inspect(),
			),
		};
	},
	async read(_id, outputs) {
		const image = await orMissing(
			dockerClient()
				.getImage(outputs.name as string)
				.inspect(),
		);
		return image && { outputs: { ...outputs, ...identity(image) } };
	},
	async delete() {
		// keepLocally: other stacks may use it, and the next up needs it.
	},
};

function identity(image: Docker.ImageInspectInfo): Properties {
	return { imageId: image.Id, repoDigest: image.RepoDigests?.[0] ?? "" };
}

async function pull(name: string): Promise<void> {
	const docker = dockerClient();
	try {
		const stream = await docker.pull(name);
		await new Promise<void>((resolve, reject) => {
			docker.modem.followProgress(stream, (error: Error | null) => (error ? reject(error) : resolve()));
		});
	} catch (error) {
		throw new EngineError(
			`image ${name} cannot be pulled: ${(error as Error).message.trim()}. Check its name and the registry, or set imageSource: stand-in.`,
		);
	}
}
