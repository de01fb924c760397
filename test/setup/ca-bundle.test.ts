import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { readCaBundle } from "../../cli/setup/ca-bundle.ts";

const pem = (text: string) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;
let folder: string;
const file = (name: string, content: string) => {
	writeFileSync(join(folder, name), content);
	return join(folder, name);
};
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "ca-bundle-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("no variable, no readable file and no certificate in it all mean: no bundle", async () => {
	expect(await readCaBundle({})).toBeUndefined();
	expect(await readCaBundle({ SSL_CERT_FILE: join(folder, "gone.crt") })).toBeUndefined();
	expect(await readCaBundle({ SSL_CERT_FILE: file("a.crt", "hello") })).toBeUndefined();
});

test("the image's tag follows the content and nothing else", async () => {
	const one = await readCaBundle({ SSL_CERT_FILE: file("a.crt", pem("A")) });
	const same = await readCaBundle({ SSL_CERT_FILE: file("b.crt", pem("A")) });
	const other = await readCaBundle({ SSL_CERT_FILE: file("c.crt", pem("B")) });
	expect(one?.image).toMatch(/^persistent-stack\/ca-bundle:[0-9a-f]{12}$/);
	expect(same?.image).toBe(one?.image);
	expect(other?.image).not.toBe(one?.image);
});

test("extra certificates come on top of the bundle, once", async () => {
	const whole = file("whole.crt", pem("WHOLE"));
	const extra = file("extra.crt", pem("EXTRA"));
	expect((await readCaBundle({ SSL_CERT_FILE: whole, NODE_EXTRA_CA_CERTS: extra }))?.pem).toBe(
		pem("WHOLE") + pem("EXTRA"),
	);
	expect((await readCaBundle({ SSL_CERT_FILE: whole, NODE_EXTRA_CA_CERTS: whole }))?.pem).toBe(pem("WHOLE"));
});

test("extra certificates alone do not take the common authorities away from a build", async () => {
	const bundle = await readCaBundle({ NODE_EXTRA_CA_CERTS: file("extra.crt", pem("EXTRA")) });
	expect(bundle?.pem.endsWith(pem("EXTRA"))).toBe(true);
	expect(bundle?.pem.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(50);
});
