/** The specification's acceptance criteria, on a real Docker Engine, through the operator's commands. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import type { Browser } from "playwright-core";
import { startBrowser } from "../support/browser.ts";
import { docker, dockerLines, objectsOf, removeContainers } from "../support/docker.ts";
import { TestStack } from "../support/test-stack.ts";

// Whole stacks are brought up and rebuilt in a test.
jest.setTimeout(300_000);

let stack: TestStack;
let browser: Browser;
/** What was uploaded on the page, and where it is served. */
let upload: { readonly address: string; readonly content: string };

beforeAll(async () => {
	stack = await TestStack.create();
	const { stdout } = await stack.run(["up"]);
	expect(stdout).toContain(stack.url);
	browser = await startBrowser();
});

afterAll(async () => {
	await browser?.close();
	stack?.cleanUp();
});

/** Runs Python in the Django shell, as an operator pipes it. */
async function django(code: string): Promise<string> {
	const { stdout } = await stack.run(["backend-shell"], { input: `${code}\n` });
	return stdout.trim();
}

async function waitUntilAnswering(path: string): Promise<Response> {
	const response = await fetch(`${stack.url}${path}`);
	expect(response.status).toBe(200);
	return response;
}

test("AC1: a user made in the Django shell is still there after stop and start", async () => {
	await django(
		'from django.contrib.auth.models import User; User.objects.create_user("test", "test@example.com", "password")',
	);
	await stack.run(["stop"]);
	expect(dockerLines("ps", "--quiet", "--filter", `name=^${stack.name}-`)).toEqual([]);
	await stack.run(["start"]);
	await waitUntilAnswering("/api/healthz");
	expect(
		await django(
			'from django.contrib.auth.models import User; print("present", User.objects.filter(username="test").exists())',
		),
	).toContain("present True");
});

test("AC2: a migration made and applied by the verbs survives a rebuild of the backend", async () => {
	const models = join(stack.directory, "app/backend/documents/models.py");
	const source = readFileSync(models, "utf8");
	writeFileSync(
		models,
		`${source}\n\nclass Annotation(models.Model):\n    text = models.CharField(max_length=100)\n`,
	);
	await stack.run(["backend-makemigrations"]);
	const migrations = readdirSync(join(stack.directory, "app/backend/documents/migrations"));
	expect(migrations.filter((name) => name.startsWith("0002"))).toHaveLength(1);
	await stack.run(["backend-migrate"]);
	stack.sql("insert into documents_annotation (text) values ('kept')");

	const before = docker("inspect", "--format", "{{.Image}}", `${stack.name}-backend`);
	await stack.run(["rebuild", "backend"]);
	expect(docker("inspect", "--format", "{{.Image}}", `${stack.name}-backend`)).not.toBe(before);

	const { stdout } = await stack.run(["exec", "-T", "backend", "python", "manage.py", "showmigrations"]);
	expect(stdout).toMatch(/\[X\] 0002/);
	expect(stdout).not.toContain("[ ]");
	expect(stack.sql("select text from documents_annotation")).toBe("kept");
});

test("AC3: a file uploaded on the page is served after restart, rebuild, and from new containers", async () => {
	const picture = join(stack.directory, "proof.txt");
	const content = `uploaded through the page ${stack.name}\n`;
	writeFileSync(picture, content);
	const page = await browser.newPage();
	await page.goto(stack.url);
	await page.getByLabel("Username").fill("test");
	await page.getByLabel("Password").fill("password");
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.getByLabel("Title").fill("Proof");
	await page.getByLabel("File").setInputFiles(picture);
	await page.getByRole("button", { name: "Upload" }).click();
	const address = await page.getByRole("link", { name: /Proof/ }).getAttribute("href");
	await page.close();
	expect(address).toMatch(/^\/media\//);

	upload = { address: address ?? "", content };
	await isServed();
	await stack.run(["restart"]);
	await isServed();
	await stack.run(["rebuild"]);
	await isServed();
	removeContainers(stack.containerIds());
	await stack.run(["up", "--refresh"]);
	await isServed();

	await isShown();
});

test("AC4: after a backup, and everything destroyed, a restore brings users, rows and files back", async () => {
	const { file } = JSON.parse((await stack.run(["backup", "--json"])).stdout);
	await stack.run(["clean-all", "--confirm", "DELETE EVERYTHING", "--no-safety-backup"]);
	expect(objectsOf(stack.name)).toEqual([]);
	await stack.run(["restore", file, "--yes"]);
	await waitUntilAnswering("/api/healthz");
	expect(stack.sql("select text from documents_annotation")).toBe("kept");
	await isServed();
	await isShown();
});

async function isServed(): Promise<void> {
	expect(await (await waitUntilAnswering(upload.address)).text()).toBe(upload.content);
}

/** On the page, to the user who signs in with the old password. */
async function isShown(): Promise<void> {
	const page = await browser.newPage();
	await page.goto(stack.url);
	await page.getByLabel("Username").fill("test");
	await page.getByLabel("Password").fill("password");
	await page.getByRole("button", { name: "Sign in" }).click();
	await page.getByRole("link", { name: /Proof/ }).waitFor();
	await page.close();
}
