/** What the sidecar is told of alarms, and where it finds their addresses. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { addressFile, isAddress } from "./alarm-settings.ts";
import { RunError } from "./run-error.ts";
import type { StackSettings } from "./settings.ts";

/** Addresses by target; absent where nobody is to be told. */
export interface AlarmAddresses {
	readonly webhook?: string;
	readonly ping?: string;
}

/** Where the sidecar finds an address. */
export const alarmAddressPaths: Readonly<Record<keyof AlarmAddresses, string>> = {
	webhook: "/run/secrets/alarm_webhook",
	ping: "/run/secrets/alarm_ping",
};

/** The values of `alarms` and `metricsPort` in AGENT_CONFIG; no secret is in them. */
export function alarmPolicy(settings: StackSettings) {
	return {
		alarms: {
			...(settings.alarmWebhook && { webhookFile: alarmAddressPaths.webhook }),
			...(settings.alarmPing && { pingFile: alarmAddressPaths.ping }),
			onSuccess: settings.alarmOnSuccess,
			diskPercent: settings.diskWarnPercent,
			volumeGb: settings.volumeWarnGb,
		},
		metricsPort: settings.metricsPort,
	};
}

/**
 * The addresses themselves, from the settings or the files that they name.
 *
 * @param project directory that relative paths begin in.
 * @throws RunError when a file cannot be read or holds no address; it never shows what the file holds.
 */
export function readAlarmAddresses(settings: StackSettings, project: string): AlarmAddresses {
	const read = (key: "alarmWebhook" | "alarmPing"): string | undefined => {
		const file = addressFile(settings[key]);
		if (file === undefined) return settings[key] || undefined;
		const path = resolve(project, file);
		let text: string;
		try {
			text = readFileSync(path, "utf8").trim();
		} catch (error) {
			throw new RunError(
				`the file ${path}, which ${key} names, cannot be read (${(error as Error).message}); nothing was changed. Write the address into it, mode 600, or remove the setting.`,
			);
		}
		if (isAddress(text)) return text;
		throw new RunError(
			`the file ${path}, which ${key} names, holds no http or https address; nothing was changed. Write the address into it, on one line.`,
		);
	};
	return { webhook: read("alarmWebhook"), ping: read("alarmPing") };
}
