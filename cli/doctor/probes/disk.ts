/** Space: on the disks of Docker and of the backups, and in the volumes. */
import { newestGoodFull } from "../../../recovery/points.ts";
import { formatBytes, formatSize } from "../../output.ts";
import { measureVolumes } from "../../volumes.ts";
import { recognised } from "../cases.ts";
import type { Facts } from "../facts.ts";
import { describeDisk, dockerData, passedByDisks, passedByVolumes, readDisks } from "../limits.ts";
import type { Finding } from "../probe.ts";

export async function lookAtDisks(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const { directories, settings } = context.load();
	const root = (await facts.lacks("docker")) ? undefined : (await facts.engine()).root;
	const disks = await readDisks(root, directories.backups);
	const findings = passedByDisks(disks, settings).map(({ full, text }) =>
		recognised(context, "disk-full", text, { verdict: full ? "fail" : "warn" }),
	);
	const next = await nextBackup(facts);
	const room = disks.find(({ holds }) => holds.includes("backups"));
	if (room && next > room.freeBytes) {
		const text = `the next backup needs about ${formatBytes(next)}, and its disk has ${formatBytes(room.freeBytes)} free (${directories.backups})`;
		findings.push(recognised(context, "disk-full", text, { verdict: "fail" }));
	}
	if (findings.length > 0) return findings;
	const isUnseen = root !== undefined && !disks.some(({ holds }) => holds.startsWith(dockerData));
	const message = [
		...disks.map(describeDisk),
		...(isUnseen ? [`${dockerData} is in a machine of its own: docker system df shows it`] : []),
		...(next > 0 ? [`the next backup needs about ${formatBytes(next)}`] : []),
	].join("; ");
	return [{ verdict: "ok", message }];
}

/** Bytes, from the newest one; 0 where nothing is known. An encrypted one is written beside what it is made of. */
async function nextBackup(facts: Facts): Promise<number> {
	// A directory that cannot be read is told by the probe of the backups.
	const state = await facts.backups().catch(() => undefined);
	const last = newestGoodFull(state?.points ?? [], facts.context.stack, new Date());
	return last ? last.size * 1.1 * (last.encrypted ? 2 : 1) : 0;
}

export async function lookAtVolumeSizes(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const volumes = (await facts.volumes()).filter(({ found }) => found);
	const sizes = await measureVolumes(context, volumes);
	const findings = passedByVolumes(volumes, sizes, context.load().settings).map((text) =>
		recognised(context, "disk-full", text),
	);
	if (findings.length > 0) return findings;
	const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
	const unknown = volumes.filter(({ name }) => !sizes.has(name)).map(({ name }) => name);
	if (unknown.length > 0) {
		const message = `not measured: ${unknown.join(", ")}`;
		return [{ verdict: "warn", message, fix: context.command("volumes") }];
	}
	const largest = volumes.toSorted((a, b) => (sizes.get(b.name) ?? 0) - (sizes.get(a.name) ?? 0))[0];
	const most = largest ? `, most of it ${largest.name} with ${formatSize(sizes.get(largest.name) ?? 0)}` : "";
	return [{ verdict: "ok", message: `${formatSize(total)} in all${most}` }];
}
