/** The sample alert rules and the dashboard: they parse, and use only metrics and labels that exist. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import { metrics } from "../../agent/metrics.ts";
import { programDirectory } from "../../components/directories.ts";

const rulesFile = join(programDirectory, "docs", "alerts.yml");

interface Rule {
	readonly alert: string;
	readonly expr: string;
	readonly for?: string;
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
	readonly id: number;
	readonly title: string;
	readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
	readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { groups } = parse(readFileSync(rulesFile, "utf8")) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(
	readFileSync(join(programDirectory, "docs", "grafana-dashboard.json"), "utf8"),
) as { panels: Panel[]; templating: { list: { name: string; query: unknown }[] } };

/** Metrics that an expression names, and what it asks of their labels. */
function usesOf(expression: string): { metric: string; labels: string[] }[] {
	return [...expression.matchAll(/\b(persistent_stack_\w+)(?:\{([^}]*)\})?/g)].map(
		([, metric = "", selector = ""]) => ({
			metric,
			labels: [...selector.matchAll(/(\w+)\s*(?:=~|=|!=|!~)/g)].map(([, label = ""]) => label),
		}),
	);
}

function labelsOf(metric: string): string[] {
	return ["stack", ...(metrics[metric]?.labels ?? [])];
}

function expectKnown(expression: string): void {
	const uses = usesOf(expression);
	expect(uses.length).toBeGreaterThan(0);
	for (const { metric, labels } of uses) {
		expect(Object.keys(metrics)).toContain(metric);
		for (const label of labels) expect(labelsOf(metric)).toContain(label);
	}
}

test.each(Object.entries(metrics))(
	"the metric %s has a name and a unit as Prometheus wants them",
	(name, metric) => {
		expect(name).toMatch(/^persistent_stack_[a-z]+(_[a-z]+)+$/);
		expect(name.endsWith("_total")).toBe(metric.type === "counter");
		// Base units, at the end.
		if (/(size|free|stored|duration|timestamp)/.test(name)) expect(name).toMatch(/_(bytes|seconds)$/);
		expect(metric.help).toMatch(/^[A-Z0-9].*\.$/);
	},
);

describe.each(rules.map((rule) => [rule.alert, rule] as const))("the alert %s", (alert, rule) => {
	test("uses metrics and labels that exist, and says what to do", () => {
		expect(alert).toMatch(/^PersistentStack[A-Z]\w+$/);
		expectKnown(rule.expr);
		expect(Object.keys(rule.annotations).sort()).toEqual(["description", "summary"]);
		expect(rule.labels.severity).toMatch(/^(critical|warning)$/);
		expect(rule.for ?? "1m").toMatch(/^\d+[smhd]$/);
		const shown = Object.values(rule.annotations).join(" ");
		const possible = usesOf(rule.expr).flatMap(({ metric }) => labelsOf(metric));
		for (const [, label] of shown.matchAll(/\$labels\.(\w+)/g)) expect(possible).toContain(label);
	});
});

test("alerts have names of their own", () => {
	const names = rules.map(({ alert }) => alert);
	expect(new Set(names).size).toBe(names.length);
});

const { status: promtool } = spawnSync("promtool", ["--version"]);
(promtool === 0 ? test : test.skip)("promtool, where it is installed, takes the rules", () => {
	const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", rulesFile], {
		encoding: "utf8",
	});
	expect([status, status === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
});

describe.each(dashboard.panels.map((panel) => [panel.title, panel] as const))("the panel %s", (_, panel) => {
	test("shows metrics that exist, of the chosen stacks, named by labels that they have", () => {
		for (const { expr, legendFormat } of panel.targets) {
			expectKnown(expr);
			expect(expr).toContain('stack=~"$stack"');
			const possible = usesOf(expr).flatMap(({ metric }) => labelsOf(metric));
			for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(possible).toContain(label);
		}
	});
});

test("panels lie side by side, and the stack is chosen from a metric that exists", () => {
	const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
		Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
	);
	expect(new Set(cells).size).toBe(cells.length);
	expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
	const stack = dashboard.templating.list.find(({ name }) => name === "stack");
	expectKnown(JSON.stringify(stack?.query));
});
