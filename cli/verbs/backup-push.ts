/** `stack backup push`: uploads the recovery points that are missing offsite. */
import type { VerbContext } from "../context.ts";
import { InterruptedError } from "../failure.ts";
import { pushCopies } from "../offsite.ts";
import { heldText } from "../offsite-status.ts";

export async function push(context: VerbContext): Promise<void> {
	const { output, stack } = context;
	output.progress(`stack ${stack}, copies that are missing offsite`);
	const result = await pushCopies(context).catch((error) => {
		if (error instanceof InterruptedError)
			output.progress(
				"What was under way was aborted; nothing of it counts, and the next upload begins it anew.",
			);
		throw error;
	});
	output.data(stack, result);
	for (const file of result.uploaded) output.result(`uploaded  ${file}`);
	if (result.uploaded.length === 0) output.result("Nothing was missing offsite.");
	output.result(heldText(result.copies, result.destination));
}
