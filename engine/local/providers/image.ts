import { buildImage, contextDigest } from "../../../images/build.ts";
import { EngineError } from "../../errors.ts";
import type { Provider, ProviderContext } from "../provider.ts";
import type { Properties } from "../values.ts";
import { dockerClient, orMissing } from "./docker-client.ts";

interface BuildInputs {
	context: string;
	dockerfile: string;
	target?: string;
	args?: Record<string, string>;
}

/** docker:index/image:Image with `skipPush`: built here, known by its id, and kept when the stack goes. */
export const imageProvider: Provider = {
	async check(inputs) {
		const build = inputs.build as unknown as BuildInputs;
		return {
			...inputs,
			build: { ...(inputs.build as Properties), contextDigest: await contextDigest(build) },
		};
	},
	effect: (property) => (property === "imageName" ? "replace" : "update"),
	computed: ["repoDigest", "baseImageName"],
	async create(inputs, context) {
		return { id: inputs.imageName as string, outputs: await build(inputs, context) };
	},
	async update(_id, _before, after, context) {
		return await build(after, context);
	},
	async read(_id, outputs) {
		const image = await orMissing(
			dockerClient()
				.getImage(outputs.repoDigest as string)
				.inspect(),
		);
		return image && { outputs };
	},
	async delete() {},
};

async function build(inputs: Properties, { log, signal }: ProviderContext): Promise<Properties> {
	const { context, dockerfile, target, args } = inputs.build as unknown as BuildInputs;
	const tag = inputs.imageName as string;
	try {
		const { id } = await buildImage({ context, dockerfile, target, args, tag, onLog: log, signal });
		return { ...inputs, baseImageName: tag, repoDigest: id };
	} catch (error) {
		throw new EngineError((error as Error).message, { cause: error });
	}
}
