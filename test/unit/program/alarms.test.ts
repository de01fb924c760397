/** What alarms and metrics add to a stack: addresses as secrets, a way out, one port of the loopback address. */
import { expect, test } from "@jest/globals";
import { isSecret, type Value } from "../../../engine/local/values.ts";
import { recordStack, secretMark } from "./record.ts";

const address = (of: string) => `https://hooks.example.com/${secretMark}-${of}`;
const container = "stack-backup-container";

const loud = () =>
	recordStack({
		stack: "staging",
		settings: { alarmWebhook: "file:webhook", alarmPing: "file:ping", metricsPort: 9187, volumeWarnGb: 40 },
		alarmAddresses: { webhook: address("webhook"), ping: address("ping") },
	});

test("addresses reach the sidecar as secret files, and are nowhere else", async () => {
	const stack = await loud();
	const uploads = stack.named(container).inputs.uploads as { file: string; content: string }[];
	expect(uploads.filter(({ file }) => file.includes("alarm"))).toEqual([
		{ file: "/run/secrets/alarm_webhook", content: address("webhook"), permissions: "0444" },
		{ file: "/run/secrets/alarm_ping", content: address("ping"), permissions: "0444" },
	]);
	const open = (value: Value): Value[] =>
		isSecret(value)
			? []
			: typeof value === "object" && value !== null
				? Object.values(value).flatMap((inner) => open(inner as Value))
				: [value];
	const shown = stack.resources.flatMap(({ wire }) => open(wire as Value)).join("\n");
	expect(shown).not.toContain(secretMark);
	const [config = ""] = stack.named(container).inputs.envs as string[];
	expect(JSON.parse(config.replace("AGENT_CONFIG=", ""))).toMatchObject({
		alarms: {
			webhookFile: "/run/secrets/alarm_webhook",
			pingFile: "/run/secrets/alarm_ping",
			volumeGb: 40,
		},
		metricsPort: 9187,
	});
});

test("the sidecar alone gets a way out, and a port of the loopback address", async () => {
	const stack = await loud();
	const networks = stack.named(container).inputs.networksAdvanced as { name: string }[];
	expect(networks.map(({ name }) => name)).toEqual(["app-staging-data", "app-staging-egress"]);
	expect(stack.named("stack-networks-egress").inputs).toMatchObject({ internal: false });
	expect(stack.named(container).inputs.ports).toEqual([
		{ internal: 9187, external: 9187, ip: "127.0.0.1", protocol: "tcp" },
	]);
	const others = stack
		.ofType("docker:index/container:Container")
		.filter(({ name }) => name !== container)
		.map(({ inputs }) => JSON.stringify(inputs.networksAdvanced));
	expect(others.filter((networks) => networks.includes("egress"))).toEqual([]);
});
