import { randomInt } from "node:crypto";
import { EngineError } from "../../errors.ts";
import type { Provider } from "../provider.ts";
import { secret } from "../values.ts";

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** random:index/randomPassword:RandomPassword of letters and digits. */
export const randomPasswordProvider: Provider = {
	effect: () => "replace",
	computed: ["result", "bcryptHash"],
	async create(inputs) {
		if (inputs.special !== false) {
			throw new EngineError(
				"the local engine makes passwords of letters and digits only; set special: false",
			);
		}
		const length = inputs.length as number;
		const result = Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join("");
		return { id: "none", outputs: { ...inputs, result: secret(result) } };
	},
	async read(_id, outputs) {
		return { outputs };
	},
	async delete() {},
};
