/** The one published port: free, or the stack's own and answering. */
import { readDockerHost } from "../../../components/docker-host.ts";
import { guardPort } from "../../../components/guards.ts";
import { addressOf } from "../../services.ts";
import type { Facts } from "../facts.ts";
import type { Finding } from "../probe.ts";

/** Milliseconds in which the application has to answer. */
const patience = 5000;

export async function lookAtPorts(facts: Facts): Promise<Finding[]> {
	const { context } = facts;
	const { identity, settings } = context.load();
	const address = addressOf(await facts.containers());
	if (!address) {
		const { bindAddress, port } = settings;
		try {
			await guardPort(identity, settings, await readDockerHost());
		} catch (error) {
			return [{ verdict: "fail", message: (error as Error).message, fix: `ss -ltnp 'sport = :${port}'` }];
		}
		return [{ verdict: "ok", message: `${bindAddress}:${port} is free` }];
	}
	const url = `${address}${settings.backendHealthPath}`;
	const answer = await fetch(url, {
		signal: AbortSignal.any([context.signal, AbortSignal.timeout(patience)]),
	}).then(
		({ status }) => `with HTTP status ${status}`,
		(error: Error) => `not at all (${(error.cause as Error | undefined)?.message ?? error.message})`,
	);
	if (answer.endsWith(" 200")) return [{ verdict: "ok", message: `${url} answers` }];
	return [
		{
			verdict: "fail",
			message: `${url} answers ${answer}`,
			fix: context.command("logs proxy backend --tail 50"),
		},
	];
}
