import type { StackSettings } from "./settings.ts";

/** What a stack's settings say of its recovery points, as the agent is told it. */
export function backupPolicy(stack: string, settings: StackSettings) {
	return {
		stack,
		timeZone: settings.timeZone,
		/** Cron expressions; null: never. */
		schedules: { daily: settings.backupSchedule || null, weekly: settings.weeklyBackupSchedule || null },
		retentionDays: {
			daily: settings.retentionDays,
			weekly: settings.weeklyRetentionDays,
			manual: settings.manualRetentionDays,
			safety: settings.safetyRetentionDays,
		},
		minimumCopies: settings.minimumCopies,
		compression: settings.backupCompression,
		recipients: settings.backupRecipients,
	};
}
