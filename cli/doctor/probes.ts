/** The table of what `stack doctor` looks at, in the order in which it is shown. */
import type { Probe } from "./probe.ts";
import { lookAtBackupDirectory } from "./probes/backup-directory.ts";
import { lookAtBackups } from "./probes/backups.ts";
import { lookAtClock } from "./probes/clock.ts";
import { lookAtDisks, lookAtVolumeSizes } from "./probes/disk.ts";
import { lookAtDocker } from "./probes/docker.ts";
import { lookAtDrift } from "./probes/drift.ts";
import { lookAtIntegrity } from "./probes/integrity.ts";
import { lookAtKeys } from "./probes/keys.ts";
import { lookIntoNewestBackup } from "./probes/newest-backup.ts";
import { lookAtOffsite } from "./probes/offsite.ts";
import { lookAtPorts } from "./probes/ports.ts";
import { lookAtRestore } from "./probes/restore.ts";
import { lookAtRestoredData } from "./probes/restored-data.ts";
import { lookAtServices } from "./probes/services.ts";
import { lookAtSettings } from "./probes/settings.ts";
import { lookAtVolumes } from "./probes/volumes.ts";

/** Seconds for an answer of Docker or of the file system. */
const brief = 10;
/** Seconds for running the program and comparing: Pulumi on a busy machine. */
const comparing = 60;
/** Seconds for reading everything there is. */
const reading = 24 * 3600;

const stack = ["settings", "docker", "stack"] as const;
const database = [...stack, "database"] as const;

export const probes: readonly Probe[] = [
	{ topic: "settings", needs: [], seconds: brief, look: lookAtSettings },
	{ topic: "docker", needs: [], seconds: brief, look: lookAtDocker },
	{ topic: "disk", needs: ["settings"], seconds: brief, look: lookAtDisks },
	{ topic: "services", needs: stack, seconds: brief, look: lookAtServices },
	{ topic: "ports", needs: ["settings", "docker"], seconds: brief, look: lookAtPorts },
	{ topic: "volumes", needs: stack, seconds: brief, look: lookAtVolumes },
	{ topic: "volume sizes", needs: stack, seconds: brief, look: lookAtVolumeSizes },
	{ topic: "restore", needs: ["settings"], seconds: brief, look: lookAtRestore },
	{ topic: "restored data", needs: database, seconds: brief, look: lookAtRestoredData },
	{ topic: "drift", needs: stack, seconds: comparing, look: lookAtDrift },
	{ topic: "backups", needs: ["settings", "stack"], seconds: brief, look: lookAtBackups },
	{ topic: "offsite copies", needs: ["settings"], seconds: brief, look: lookAtOffsite },
	{ topic: "backup directory", needs: ["settings"], seconds: brief, look: lookAtBackupDirectory },
	{ topic: "clock", needs: ["settings"], seconds: brief, look: lookAtClock },
	{ topic: "keys", needs: ["settings"], seconds: brief, look: lookAtKeys },
	{ topic: "database files", needs: database, deep: true, seconds: reading, look: lookAtIntegrity },
	{ topic: "newest backup", needs: ["settings"], deep: true, seconds: reading, look: lookIntoNewestBackup },
];
