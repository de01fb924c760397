import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { defaultHost, dockerHost } from "../../cli/setup/docker-host.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "docker-host-"));
	const meta = join(folder, "contexts", "meta", createHash("sha256").update("remote").digest("hex"));
	mkdirSync(meta, { recursive: true });
	const content = { Name: "remote", Endpoints: { docker: { Host: "ssh://someone@elsewhere" } } };
	writeFileSync(join(meta, "meta.json"), JSON.stringify(content));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("DOCKER_HOST goes before every context", () => {
	const environment = { DOCKER_HOST: "tcp://a:2375", DOCKER_CONTEXT: "remote", DOCKER_CONFIG: folder };
	expect(dockerHost(environment)).toBe("tcp://a:2375");
});

test("the current context of the configuration is followed, DOCKER_CONTEXT before it", () => {
	writeFileSync(join(folder, "config.json"), '{"currentContext":"remote"}');
	expect(dockerHost({ DOCKER_CONFIG: folder })).toBe("ssh://someone@elsewhere");
	expect(dockerHost({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: "default" })).toBe(defaultHost);
});

test("without any of them, and with a context that does not exist, it is the default socket", () => {
	expect(dockerHost({ DOCKER_CONFIG: folder })).toBe(defaultHost);
	expect(dockerHost({ DOCKER_CONFIG: folder, DOCKER_CONTEXT: "gone" })).toBe(defaultHost);
});
