import type { StackSettings } from "./settings.ts";

/**
 * Whether the backup container has to reach beyond the network `data`, or be reached from the host: a container
 * on an internal network alone cannot publish a port (Docker 20.10, measured).
 */
export function needsEgress(settings: StackSettings): boolean {
	return settings.alarmWebhook !== "" || settings.alarmPing !== "" || settings.metricsPort > 0;
}
