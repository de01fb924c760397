/**
 * The identities that the local engine gives are Pulumi's own, so that a stack can be handed over. Runs the real
 * Pulumi (a preview only, which changes nothing); skipped, and says so, where that is not to be had.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join, relative } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { programDirectory } from "../../../components/directories.ts";
import { Deployment } from "../../../engine/local/deployment.ts";
import { startMonitor } from "../../../engine/local/monitor.ts";
import { startProgram } from "../../../engine/local/program.ts";
import { State } from "../../../engine/local/state.ts";
import { isPulumiInstalled } from "../../../engine/pulumi/pulumi-engine.ts";
import { loadStack } from "../../../engine/stack-context.ts";

const stack = "urns";

function reasonToSkip(): string | undefined {
	if (!isPulumiInstalled()) return "there is no pulumi on the PATH";
	if (spawnSync("docker", ["version"]).status !== 0) return "Docker does not answer";
	return undefined;
}

const reason = reasonToSkip();
if (reason) process.stderr.write(`skipped: the comparison of URNs with Pulumi's, because ${reason}\n`);
const live = reason ? test.skip : test;

live(
	"the local engine gives every resource the URN and the parent that Pulumi gives it",
	async () => {
		const project = await makeProject();
		try {
			const [pulumi, local] = [await urnsByPulumi(project), await urnsByLocalEngine(project)];
			expect(local.length).toBeGreaterThan(40);
			expect(local).toEqual(pulumi);
		} finally {
			rmSync(project, { recursive: true, force: true });
		}
	},
	120_000,
);

async function makeProject(): Promise<string> {
	const project = realpathSync(mkdtempSync(join(tmpdir(), "urns-")));
	const main = relative(project, programDirectory);
	const runtime = "runtime: {name: nodejs, options: {typescript: false}}";
	writeFileSync(join(project, "Pulumi.yaml"), `name: persistent-stack\n${runtime}\nmain: ${main}\n`);
	const settings = { prefix: `urns-${process.pid}`, port: String(await freePort()) };
	const lines = Object.entries(settings).map(([key, value]) => `  persistent-stack:${key}: "${value}"`);
	writeFileSync(join(project, `Pulumi.${stack}.yaml`), `config:\n${lines.join("\n")}\n`);
	mkdirSync(join(project, "state"));
	return project;
}

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const address = server.address();
			server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
		});
	});
}

async function urnsByPulumi(project: string): Promise<string[]> {
	const pulumi = (...args: string[]) =>
		promisify(execFile)("pulumi", args, {
			cwd: project,
			maxBuffer: 64 * 1024 * 1024,
			env: {
				...process.env,
				NODE_OPTIONS: "",
				PATH: [join(programDirectory, "node_modules", ".bin"), process.env.PATH].join(delimiter),
				PULUMI_BACKEND_URL: `file://${join(project, "state")}`,
				PULUMI_CONFIG_PASSPHRASE: "test",
				PULUMI_SKIP_UPDATE_CHECK: "true",
			},
		});
	await pulumi("stack", "init", stack, "--non-interactive");
	const { stdout } = await pulumi("preview", "--json", "--non-interactive", "--stack", stack);
	const { steps } = JSON.parse(stdout) as { steps: { urn: string; newState?: { parent?: string } }[] };
	return steps.map(({ urn, newState }) => `${urn} < ${newState?.parent ?? ""}`).sort();
}

async function urnsByLocalEngine(project: string): Promise<string[]> {
	const deployment = new Deployment(await State.open(join(project, "local.json"), "test"), {
		stack,
		dryRun: true,
		drift: new Map(),
		onEvent: () => {},
		signal: undefined,
		permit: () => {},
	});
	const urns: string[] = [];
	const monitor = await startMonitor({
		register: async (registration) => {
			const result = await deployment.register(registration);
			urns.push(`${result.urn} < ${registration.parent}`);
			return result;
		},
		registerOutputs: (urn, outputs) => deployment.registerOutputs(urn, outputs),
		complete: () => {},
		log: () => {},
	});
	const lines: string[] = [];
	const program = startProgram({
		context: loadStack(project, stack),
		secrets: {},
		address: monitor.address,
		dryRun: true,
		onLine: (line) => lines.push(line),
	});
	const code = await program.ended;
	monitor.close();
	if (code !== 0) throw new Error(lines.join("\n"));
	return urns.sort();
}
