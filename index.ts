/** The Pulumi program: reads the settings of the stack, checks the host, declares one stack component. */
import * as pulumi from "@pulumi/pulumi";
import { readAlarmAddresses } from "./components/alarm-policy.ts";
import { readImageRecord, resolveBaseImages } from "./components/base-images.ts";
import { stackDirectories } from "./components/directories.ts";
import { readDockerHost } from "./components/docker-host.ts";
import { encryptedKeys } from "./components/encrypted-keys.ts";
import { engineInUse } from "./components/engine-in-use.ts";
import {
	guardContainers,
	guardEngine,
	guardLock,
	guardNode,
	guardPlaceholders,
	guardPorts,
	guardRestore,
	guardVolumes,
} from "./components/guards.ts";
import { readCredentials } from "./components/offsite-credentials.ts";
import { adoptedVolumes } from "./components/offsite-policy.ts";
import { PersistentStack } from "./components/persistent-stack.ts";
import { parseSettings } from "./components/settings.ts";

guardNode(process.versions.node);

const stackName = pulumi.getStack();
const engine = engineInUse();
const settings = parseSettings(stackName, pulumi.runtime.allConfig(), encryptedKeys());
const identity = { stack: stackName, prefix: settings.prefix };
const directories = stackDirectories(pulumi.getRootDirectory(), stackName, settings);

guardLock(directories.backups, stackName);
await guardRestore(directories.backups, stackName);
guardEngine(stackName, directories, engine);
const host = await readDockerHost();
guardContainers(identity, host);
await guardPorts(identity, settings, host);
const existingVolumes = guardVolumes(identity, adoptedVolumes(settings), host);
const isPreview = pulumi.runtime.isDryRun();
if (!isPreview) guardPlaceholders(stackName, settings);

const stack = new PersistentStack("stack", {
	identity,
	settings,
	directories,
	engine,
	existingVolumes,
	alarmAddresses: readAlarmAddresses(settings, pulumi.getRootDirectory()),
	offsiteCredentials: await readCredentials(
		settings,
		directories.offsiteCredentials,
		isPreview ? { id: "placeholder", secret: "placeholder" } : undefined,
	),
	platform: host.platform,
	baseImages: resolveBaseImages(settings, readImageRecord(directories.state)),
});

const { url, volumes, offsite } = stack;

/** The stack's outputs; an undefined one would be warned of in every preview. */
export default { url, volumes, ...(offsite ? { offsite } : {}) };
