import { type ImageName, imageNames, officialImages } from "../../images/official.ts";
import { standInTag } from "../../images/stand-in/recipes.ts";
import { StackError } from "../errors.ts";
import { aptCommand, aptInstall, canUseApt, findProgram } from "./apt.ts";
import { type CaBundle, readCaBundle } from "./ca-bundle.ts";
import { dockerHost } from "./docker-host.ts";
import { connect, engineGet } from "./engine-api.ts";
import { type ImageRecord, type ImageSource, readRecord, recordFile, writeRecord } from "./image-record.ts";
import { askRegistry, type RegistryAnswer } from "./registry.ts";
import { asStep, type Report } from "./report.ts";

export type { ImageRecord, ImageSource } from "./image-record.ts";

/** What `ensureImages` needs to know. */
export interface ImagesRequest {
	/** Directory of the stack's records; made when it is missing. */
	stackDirectory: string;
	/** A choice by the settings or the operator; it wins over what was recorded, and is recorded.
	 * @default the recorded one; the first time, official images where a registry answers, else stand-ins */
	choice?: ImageSource;
	report: Report;
	/** Address of the engine. @default as `docker` would choose it */
	host?: string;
	/** Environment that may name CA bundles. @default this process's */
	environment?: NodeJS.ProcessEnv;
}

/**
 * Settles which base images a stack is made of, and makes those that can only be made here: the stand-ins,
 * and the image with the CA bundle. Official images are pulled by the engine that applies the stack.
 *
 * The choice is recorded in `images.json` and from then on only followed: an outage of the registry never
 * changes the database server under existing data.
 *
 * @throws StackError naming the image that is missing or could not be built; what was recorded stays.
 */
export async function ensureImages(request: ImagesRequest): Promise<ImageRecord> {
	const { stackDirectory, report } = request;
	const host = request.host ?? dockerHost();
	const recorded = readRecord(stackDirectory);
	const source = request.choice ?? recorded?.source ?? (await choose(host, report));
	if (recorded !== undefined && recorded.source !== source) {
		report.say(`Base images: ${source} from now on, as asked; recorded so far: ${recorded.source}.`);
	}
	if (source === "stand-in") await ensureStandIns(host, report);
	const bundle = await readCaBundle(request.environment);
	if (bundle !== undefined) await ensureCaImage(host, bundle, report);

	const record: ImageRecord = { schemaVersion: 1, source, images: imagesOf(source) };
	// A shell without the variables must not change the builds of a stack that was made with them.
	const caImage = bundle?.image ?? recorded?.caImage;
	if (caImage !== undefined) record.caImage = caImage;
	if (JSON.stringify(record) !== JSON.stringify(recorded)) writeRecord(stackDirectory, record);
	if (recorded === undefined) {
		report.say(`Base images: ${source}, recorded in ${recordFile(stackDirectory)}.`);
	}
	return record;
}

/** Full names of the images of a source. */
export function imagesOf(source: ImageSource): Record<ImageName, string> {
	if (source === "official") return { ...officialImages };
	return Object.fromEntries(imageNames.map((name) => [name, standInTag(name)])) as Record<ImageName, string>;
}

/** What the first up does after it has asked the registry; undefined where it cannot go on. */
export function chooseBy(answer: RegistryAnswer): ImageSource | undefined {
	return { "has-it": "official", unreachable: "stand-in", "lacks-it": undefined }[answer.kind] as
		| ImageSource
		| undefined;
}

async function choose(host: string, report: Report): Promise<ImageSource> {
	const image = officialImages.redis;
	// Images that were loaded by hand need no registry.
	const missing = await missingImages(host, Object.values(officialImages));
	if (missing.length === 0) return "official";
	const answer = await asStep(report, "Asking the registry for the official images", () =>
		askRegistry(host, image),
	);
	const source = chooseBy(answer);
	const because = answer.kind === "has-it" ? "" : answer.because;
	if (source === undefined) {
		throw new StackError(
			`The registry answers, but does not deliver ${image} (${because}). Nothing was chosen or built.`,
			{ fix: `docker pull ${image}   # or set imageSource to stand-in in the stack's settings` },
		);
	}
	if (source === "stand-in") {
		report.say(`No registry can be reached (${because}).`);
		report.say("Using stand-ins instead: the same major versions, built here from Debian packages.");
	}
	return source;
}

async function ensureStandIns(host: string, report: Report): Promise<void> {
	const missing = await missingImages(host, imageNames.map(standInTag));
	if (missing.length === 0) return;
	const isBaseMissing = (await missingImages(host, [standInTag("base")])).length > 0;
	if (isBaseMissing) await ensureBootstrap(report);
	const { buildBase, buildStandIn } = await import("../../images/stand-in/build.ts");
	const docker = await connect(host);
	await asImageError(async () => {
		if (isBaseMissing) {
			await asStep(report, `Building ${standInTag("base")}`, (onLog) => buildBase({ docker, onLog }));
		}
		const names = imageNames.filter((name) => missing.includes(standInTag(name)));
		const results = await Promise.allSettled(
			names.map((name) =>
				asStep(report, `Building ${standInTag(name)}`, (onLog) => buildStandIn(name, { docker, onLog })),
			),
		);
		// All are waited for, so that an error does not leave others building unseen.
		for (const result of results) if (result.status === "rejected") throw result.reason;
	});
}

/** Debian's bootstrap program, which makes the base. */
async function ensureBootstrap(report: Report): Promise<void> {
	if (findProgram("mmdebstrap") !== undefined) return;
	if (!canUseApt()) {
		throw new StackError(
			"The stand-in images need mmdebstrap, which is not installed, and this program installs it only on " +
				"Debian and Ubuntu as root. Nothing was built. Install it, or give Docker a way to a registry and " +
				"set imageSource to official, or load the official images by hand (docker load).",
			{ fix: `sudo ${aptCommand(["mmdebstrap"])}` },
		);
	}
	report.say(`The stand-in images need mmdebstrap; installing it: ${aptCommand(["mmdebstrap"])}`);
	await aptInstall(["mmdebstrap"], report);
}

async function ensureCaImage(host: string, bundle: CaBundle, report: Report): Promise<void> {
	if ((await missingImages(host, [bundle.image])).length === 0) return;
	const { importCaBundle } = await import("./ca-bundle-image.ts");
	const docker = await connect(host);
	await asImageError(() =>
		asStep(report, `Importing ${bundle.image}, for builds behind a proxy`, () =>
			importCaBundle(docker, bundle),
		),
	);
}

/** Those of the names that the engine does not hold. */
async function missingImages(host: string, names: string[]): Promise<string[]> {
	const statuses = await Promise.all(names.map((name) => engineGet(host, `/images/${name}/json`)));
	return names.filter((_, index) => statuses[index]?.status !== 200);
}

async function asImageError(work: () => Promise<void>): Promise<void> {
	try {
		await work();
	} catch (error) {
		if (error instanceof StackError) throw error;
		throw new StackError((error as Error).message, {
			cause: error,
			fix: "mend what the log names, then run the same command again; finished images are kept",
		});
	}
}
