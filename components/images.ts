import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { BaseImages } from "./base-images.ts";
import type { StackIdentity } from "./identity.ts";

/** An image that the stack builds. */
export interface ImageBuild {
	readonly context: string;
	readonly dockerfile: string;
	readonly target?: string;
	readonly args: Readonly<Record<string, string>>;
}

export interface ImagesArgs {
	readonly identity: StackIdentity;
	readonly platform: string;
	readonly base: BaseImages;
	/** What to build, or the name of a finished image. */
	readonly backend: ImageBuild | string;
	readonly frontend: ImageBuild | string;
	readonly backup: ImageBuild;
}

export type ImageName = "postgres" | "redis" | "nginx" | "backend" | "frontend" | "backup";

/**
 * The images of the services, each known by its id: containers that name an image by its id are replaced
 * when it changes, and the preview shows it. Images stay on the host when the stack goes.
 */
export class Images extends pulumi.ComponentResource {
	readonly ids: Readonly<Record<ImageName, pulumi.Output<string>>>;
	/** `name@id` of each image. */
	readonly references: Readonly<Record<ImageName, pulumi.Output<string>>>;

	constructor(name: string, args: ImagesArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:docker:Images", name, {}, opts);
		const nameOf = (image: ImageName) => `${args.identity.prefix}-${image}:current`;
		const pull = (image: ImageName, reference: string) =>
			new docker.RemoteImage(`${name}-${image}`, { name: reference, keepLocally: true }, { parent: this })
				.imageId;
		const build = (image: ImageName, from: ImageBuild) =>
			new docker.Image(
				`${name}-${image}`,
				{
					imageName: nameOf(image),
					build: { ...from, args: { ...from.args, ...caArgument(args.base) }, platform: args.platform },
					skipPush: true,
				},
				{ parent: this },
				// With skipPush this output is the image's id.
			).repoDigest;
		const obtain = (image: ImageName, from: ImageBuild | string) =>
			typeof from === "string" ? pull(image, from) : build(image, from);
		this.ids = {
			postgres: pull("postgres", args.base.images.postgres),
			redis: pull("redis", args.base.images.redis),
			nginx: pull("nginx", args.base.images.nginx),
			backend: obtain("backend", args.backend),
			frontend: obtain("frontend", args.frontend),
			backup: build("backup", args.backup),
		};
		const names: Readonly<Record<ImageName, string>> = {
			postgres: args.base.images.postgres,
			redis: args.base.images.redis,
			nginx: args.base.images.nginx,
			backend: typeof args.backend === "string" ? args.backend : nameOf("backend"),
			frontend: typeof args.frontend === "string" ? args.frontend : nameOf("frontend"),
			backup: nameOf("backup"),
		};
		this.references = Object.fromEntries(
			Object.entries(this.ids).map(([image, id]) => [
				image,
				pulumi.interpolate`${names[image as ImageName]}@${id}`,
			]),
		) as Record<ImageName, pulumi.Output<string>>;
		this.registerOutputs({ ids: this.ids });
	}
}

/** Dockerfiles bind-mount the CA bundle from this image for the steps that download, and keep none of it. */
function caArgument(base: BaseImages): Record<string, string> {
	return base.caImage ? { CA_IMAGE: base.caImage } : {};
}
