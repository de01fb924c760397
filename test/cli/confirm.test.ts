import { expect, test } from "@jest/globals";
import { canAsk, confirm } from "../../cli/confirm.ts";
import type { VerbContext } from "../../cli/context.ts";

const context = { globals: { input: false }, signal: new AbortController().signal } as VerbContext;
const question = {
	action: "destroying stack dev",
	phrase: "yes",
	unattended: "./docker-dev.sh -s dev destroy --yes",
};

test("where nobody can be asked it ends with 2 and the command line that needs no answer", async () => {
	expect(canAsk(context)).toBe(false);
	await expect(confirm(context, { ...question, given: false })).rejects.toMatchObject({
		exitCode: 2,
		fix: question.unattended,
		message: expect.stringContaining("nothing was changed"),
	});
});

test("an answer by option asks nothing", async () => {
	await expect(confirm(context, { ...question, given: true })).resolves.toBeUndefined();
});
