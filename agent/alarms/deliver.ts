/** Delivery of messages over HTTP. What goes wrong here is noted, and never fails a backup. */
import { readFile } from "node:fs/promises";
import type { AlarmFile, AlarmMessage, AlarmTarget } from "../../recovery/alarm-file.ts";
import { afterFailure } from "./ledger.ts";

export interface DeliveryOptions {
	/** Files with the addresses. */
	readonly files: Readonly<Partial<Record<AlarmTarget, string>>>;
	readonly retrySeconds: readonly number[];
	readonly signal: AbortSignal;
	/** Told of what cannot be delivered at all. */
	readonly warn: (message: string) => void;
}

const timeoutSeconds = 10;

/** Tries what is due, in order; a target that fails is not tried again for the messages behind. */
export async function deliver(alarms: AlarmFile, options: DeliveryOptions, now: Date): Promise<AlarmFile> {
	const outbox: AlarmMessage[] = [];
	const deliveries = structuredClone(alarms.deliveries);
	const failing = new Set<AlarmTarget>();
	for (const message of alarms.outbox) {
		const { target } = message;
		const file = options.files[target];
		// Its address was taken out of the settings.
		if (file === undefined) continue;
		if (failing.has(target) || options.signal.aborted || Date.parse(message.at) > now.getTime()) {
			outbox.push(message);
			// Its successors wait for it: a "resolved" must not come before its alarm.
			failing.add(target);
			continue;
		}
		const problem = await send(message, file, options.signal);
		if (problem !== undefined && options.signal.aborted) {
			outbox.push(message);
			continue;
		}
		const counts = deliveries[target];
		if (problem === undefined) {
			counts.delivered++;
			delete counts.problem;
			delete counts.problemAt;
			continue;
		}
		failing.add(target);
		counts.problem = problem;
		counts.problemAt = now.toISOString();
		const later = afterFailure(message, options.retrySeconds, now);
		if (later) {
			outbox.push(later);
		} else {
			counts.givenUp++;
			options.warn(
				`a message to the alarm ${target} was given up after ${message.tries + 1} tries: ${problem}`,
			);
		}
	}
	return { ...alarms, outbox, deliveries };
}

/** Returns what went wrong, without the address. */
async function send(message: AlarmMessage, file: string, signal: AbortSignal): Promise<string | undefined> {
	let address: URL;
	try {
		address = new URL((await readFile(file, "utf8")).trim());
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		return code === "ERR_INVALID_URL"
			? `${file} does not hold an address`
			: `${file} cannot be read (${code}); run up, which brings the secrets`;
	}
	const isPing = message.target === "ping";
	// The way of healthchecks.io and what speaks like it.
	if (isPing && !message.good) address.pathname = `${address.pathname.replace(/\/$/, "")}/fail`;
	try {
		const response = await fetch(address, {
			method: "POST",
			headers: { "content-type": isPing ? "text/plain; charset=utf-8" : "application/json" },
			body: message.body,
			signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000)]),
		});
		await response.body?.cancel();
		return response.ok ? undefined : `it answers HTTP ${response.status}`;
	} catch (error) {
		const { name, cause } = error as Error & { cause?: NodeJS.ErrnoException };
		if (name === "TimeoutError") return `no answer within ${timeoutSeconds} s`;
		return `it cannot be reached (${cause?.code ?? cause?.name ?? name})`;
	}
}
