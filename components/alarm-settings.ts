/** The settings of alarms and metrics, and the rules by which they have to fit the others. */
import * as z from "zod";
import { define } from "./setting-definition.ts";
import type { StackSettings } from "./settings.ts";
import type { SettingsProblem } from "./settings-error.ts";

const fileScheme = "file:";

/** An address that lets whoever knows it speak in this stack's name. */
const address = (description: string) =>
	define<string>({
		type: "string",
		description: `${description} A secret: pulumi config set --secret, or file:PATH of a file that holds it. Empty: none.`,
		default: "",
		schema: z.string().refine((value) => value === "" || isFile(value) || isAddress(value)),
		fix: "write an http or https address as a secret, or file:PATH of a file of mode 600 that holds it",
	});

export const alarmDefinitions = {
	alarmWebhook: address(
		"Address that is sent JSON when something is wrong with the backups, and when it is well again; Slack understands it.",
	),
	alarmPing: address(
		"Address of a dead man's switch, such as healthchecks.io: told of every good full backup, and at /fail of failures.",
	),
	alarmOnSuccess: define<boolean>({
		type: "boolean",
		description: "Whether alarmWebhook hears of scheduled backups that were good, too.",
		default: true,
		schema: z.boolean(),
		fix: "write true or false",
	}),
	metricsPort: define<number>({
		type: "integer",
		description:
			"Port of the loopback address for the backup container's /metrics and /healthz; it joins the network egress for it. 0: none.",
		default: 0,
		schema: z
			.number()
			.int()
			.max(65535)
			.refine((port) => port === 0 || port >= 1024),
		fix: "write a port from 1024 to 65535, or 0 for none",
	}),
};

/** Settings whose value is never shown. */
export const secretSettings: ReadonlySet<string> = new Set(["alarmWebhook", "alarmPing"]);

/** Whether the value of a secret setting gives the secret away to whoever reads the stack file. */
export function isOpenSecret(value: string): boolean {
	return value !== "" && !isFile(value);
}

/** Path of the file that holds an address; undefined where the setting is the address itself. */
export function addressFile(value: string): string | undefined {
	return isFile(value) ? value.slice(fileScheme.length).replace(/^\/\/(?=\/)/, "") : undefined;
}

export function isAddress(value: string): boolean {
	return /^https?:\/\/\S+$/.test(value) && URL.canParse(value);
}

function isFile(value: string): boolean {
	return value.startsWith(fileScheme) && value.length > fileScheme.length;
}

/** Rules that concern more than one setting. */
export function alarmContradictions({ metricsPort, port }: StackSettings): SettingsProblem[] {
	if (metricsPort !== port) return [];
	return [{ key: "metricsPort", value: String(port), fix: "the proxy has this port; write another" }];
}
