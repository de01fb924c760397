/** A process that writes a state again and again until it is killed, for state.test.ts. Argument: the file. */
import { State } from "../../../engine/local/state.ts";

const state = await State.open(process.argv[2] ?? "", "test");
process.stdout.write("writing\n");
for (let version = Number(state.get("urn:a")?.outputs.version ?? 0); ; version++) {
	for (const name of ["a", "b"]) {
		const outputs = { version, bulk: String(version).padEnd(300_000, ".") };
		state.put({ urn: `urn:${name}`, type: "t", custom: true, id: name, inputs: {}, outputs });
	}
}
