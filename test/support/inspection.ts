/** What `docker inspect` shows of a stack, as far as the program sets it, with everything of this run named away. */
import { serviceNames, volumeCatalogue } from "../../components/catalogue.ts";
import { docker } from "./docker.ts";
import type { TestStack } from "./test-stack.ts";

type Json = Record<string, unknown>;

interface ContainerInspection {
	readonly Image: string;
	readonly Config: Json & { Env: string[]; Labels: Record<string, string> };
	readonly HostConfig: Json & { Mounts?: Json[] };
	readonly Mounts: Json[];
	readonly NetworkSettings: {
		Networks: Record<string, { Aliases: string[]; DriverOpts: unknown; IPAMConfig: unknown }>;
	};
}

/** Every object of the stack by kind and name. */
export function inspectStack(stack: TestStack): Json {
	const inspected = {
		containers: Object.fromEntries(serviceNames.map((service) => [service, container(stack, service)])),
		volumes: Object.fromEntries(volumeCatalogue.map(({ key }) => [key, volume(`${stack.name}-${key}`)])),
		networks: Object.fromEntries(["edge", "data"].map((name) => [name, network(`${stack.name}-${name}`)])),
	};
	const text = JSON.stringify(inspected)
		.replaceAll(stack.directory, "PROJECT")
		.replaceAll(stack.name, "PREFIX")
		.replaceAll(/sha256:[0-9a-f]{64}/g, "IMAGE")
		.replaceAll(`"${stack.port}"`, '"PORT"');
	return JSON.parse(text) as Json;
}

function inspect<T>(kind: string, name: string): T {
	return (JSON.parse(docker(kind, "inspect", name)) as [T])[0];
}

function container(stack: TestStack, service: string): Json {
	const name = `${stack.name}-${service}`;
	const found = inspect<ContainerInspection>("container", name);
	const image = inspect<{ Config: { Env?: string[]; Labels?: Record<string, string> } }>(
		"image",
		found.Image,
	);
	const { Cmd, User, Healthcheck, StopSignal, StopTimeout, ExposedPorts, Env, Labels } = found.Config;
	return {
		config: {
			...{ Cmd, User, Healthcheck, StopSignal, StopTimeout, ExposedPorts },
			// What the image brings is not the program's.
			Env: Env.filter((variable) => !image.Config.Env?.includes(variable)).sort(),
			Labels: Object.fromEntries(
				Object.entries(Labels).filter(([key]) => !(key in (image.Config.Labels ?? {}))),
			),
		},
		host: { ...found.HostConfig, Mounts: sorted(found.HostConfig.Mounts ?? [], "Target") },
		mounts: sorted(found.Mounts, "Destination"),
		networks: Object.fromEntries(
			Object.entries(found.NetworkSettings.Networks).map(([network, { Aliases, DriverOpts, IPAMConfig }]) => [
				network,
				// Docker adds the container's short id.
				{ aliases: Aliases.filter((alias) => !/^[0-9a-f]{12}$/.test(alias)), DriverOpts, IPAMConfig },
			]),
		),
		uploads: uploads(name),
	};
}

/** Files that were put into the container: name, mode, owner and size. */
function uploads(name: string): string[] {
	const changed = docker("container", "diff", name).split("\n");
	const files = changed
		.map((line) => line.slice(2))
		.filter((path) => /^\/(run\/secrets|usr\/local)\/.*\.?\w+$/.test(path));
	const list = 'for path; do [ ! -f "$path" ] || stat -c "%n %a %u:%g %s" "$path"; done';
	return docker("exec", name, "sh", "-c", list, "sh", ...files)
		.split("\n")
		.filter((line) => line !== "")
		.sort();
}

function volume(name: string): Json {
	const { Driver, Labels, Options, Scope } = inspect<Json>("volume", name);
	return { Driver, Labels, Options, Scope };
}

function network(name: string): Json {
	const { Driver, Internal, Labels, Options, Attachable, EnableIPv6, Scope } = inspect<Json>("network", name);
	return { Driver, Internal, Labels, Options, Attachable, EnableIPv6, Scope };
}

function sorted(items: Json[], by: string): Json[] {
	return items.toSorted((a, b) => String(a[by]).localeCompare(String(b[by])));
}
