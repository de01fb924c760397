/** `stack destroy`: removes the stack by its engine; its removal policy says what becomes of the data. */
import { changesAsJson, openStackEngine, summary } from "../apply.ts";
import { confirm } from "../confirm.ts";
import type { Invocation, VerbContext } from "../context.ts";
import { isRemote, requireDocker } from "../docker.ts";
import { withLock } from "../lock.ts";
import { changes, volumeVerdicts } from "../plan.ts";
import { dockerHost } from "../setup/docker-host.ts";
import { destroyAsShown, rehearseDestroy } from "../teardown.ts";
import { findStackVolumes } from "../volumes.ts";
import { planText, verdictTable } from "./preview.ts";

export async function destroy(context: VerbContext, { options }: Invocation): Promise<void> {
	const { output, stack } = context;
	if (!isRemote(dockerHost())) await requireDocker(context.signal);
	const volumes = await findStackVolumes(context);
	const existing = new Set(volumes.filter(({ found }) => found).map(({ key }) => key));
	const names = new Map(volumes.map(({ key, name }) => [key as string, name]));
	const engine = await openStackEngine(context);
	output.progress(`stack ${stack}, by the ${engine.name} engine`);
	const plan = await rehearseDestroy(context, engine, volumes);
	const verdicts = volumeVerdicts(plan, existing);
	const told = { engine: engine.name, changes: changesAsJson(plan), volumes: verdicts };
	if (changes(plan).length === 0) {
		output.data(stack, told);
		output.result(`Nothing to remove: the ${engine.name} engine has made nothing of stack ${stack}.`);
		return;
	}
	// Images stay on the host, and what the program ran leaves nothing behind.
	const lasting = plan.filter(({ type }) => !/(image:Image|remoteImage:RemoteImage|:Command)$/i.test(type));
	const text = [planText(context, lasting, { full: false }), verdictTable(verdicts, names, output)].join(
		"\n\n",
	);
	const given = Boolean(options.yes) && context.globals.stack !== undefined;
	if (options.dryRun) {
		output.data(stack, { dryRun: true, ...told });
		output.result(text);
		return;
	}
	// Whoever is asked must see what about, also with --quiet.
	const tell = (words: string) => (given ? output.progress(words) : output.notice(words));
	tell(text);
	if (verdicts.some(({ loses }) => loses)) tell(`\nTo keep a copy first: ${context.command("backup")}`);
	tell("");
	// Asked outside the lock: a question that nobody answers must not keep the nightly backup waiting.
	await confirm(context, {
		action: `destroying stack ${stack}`,
		phrase: "yes",
		given,
		unattended: `./docker-dev.sh -s ${stack} destroy --yes`,
	});
	const done = await withLock(context, "destroy", () => destroyAsShown(context, engine, plan));
	const kept = volumeVerdicts(done, existing).filter(
		({ operation, key }) => operation === "forget" && existing.has(key),
	);
	const backups = context.load().directories.backups;
	output.data(stack, { ...told, kept: kept.map(({ key }) => names.get(key)) });
	output.result(`Stack ${stack} is removed: ${summary(done)}.`);
	if (kept.length > 0) output.result(`Kept: ${kept.map(({ key }) => names.get(key)).join(", ")}`);
	output.result(`Backups are kept: ${backups}`);
}
