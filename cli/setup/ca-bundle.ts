import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

/** Certificates that builds must trust, and the image that carries them. */
export interface CaBundle {
	/** Certificates in PEM, one after another. */
	pem: string;
	/** `persistent-stack/ca-bundle:<first 12 hex digits of the content's SHA-256>`. */
	image: string;
}

/**
 * The CA bundle of this machine, for builds behind a TLS-inspecting proxy; undefined where the environment
 * names none. SSL_CERT_FILE is a whole bundle; NODE_EXTRA_CA_CERTS comes on top of it, or of the common
 * authorities where it stands alone. A file that cannot be read counts as not named.
 */
export async function readCaBundle(
	environment: NodeJS.ProcessEnv = process.env,
): Promise<CaBundle | undefined> {
	const whole = await readable(environment.SSL_CERT_FILE);
	const extra = await readable(environment.NODE_EXTRA_CA_CERTS);
	if (whole === undefined && extra === undefined) return undefined;
	const parts = [whole ?? (await commonAuthorities())];
	if (extra !== undefined && extra !== whole) parts.push(extra);
	const pem = parts.map((part) => `${part.trimEnd()}\n`).join("");
	const hash = createHash("sha256").update(pem).digest("hex").slice(0, 12);
	return { pem, image: `persistent-stack/ca-bundle:${hash}` };
}

async function readable(path: string | undefined): Promise<string | undefined> {
	if (!path) return undefined;
	const text = await readFile(path, "utf8").catch(() => undefined);
	return text?.includes("-----BEGIN ") ? text : undefined;
}

async function commonAuthorities(): Promise<string> {
	const { rootCertificates } = await import("node:tls");
	return rootCertificates.join("\n");
}
