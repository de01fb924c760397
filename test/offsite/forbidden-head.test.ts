/** S3 does not say "not found" to a writer that may list only its own prefix: it says "forbidden". */
import { HeadObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { expect, test } from "@jest/globals";
import type { Bucket } from "../../agent/offsite/bucket.ts";
import { headOf } from "../../agent/offsite/read-object.ts";

const forbidden = Object.assign(new Error("Forbidden"), { name: "403", $metadata: { httpStatusCode: 403 } });
const key = "persistent-stack/prod/full_backup_20260301_020000.tar.gz";

/** A bucket that forbids every HEAD, and lists these keys; `listed` notes the prefixes that it was asked for. */
function guarded(keys: readonly string[] | Error, listed: (string | undefined)[] = []): Bucket {
	const send = async (command: unknown) => {
		if (command instanceof HeadObjectCommand) throw forbidden;
		if (!(command instanceof ListObjectsV2Command)) throw new Error("nothing else is asked");
		if (keys instanceof Error) throw keys;
		const { Prefix = "", MaxKeys } = command.input;
		listed.push(Prefix);
		return {
			Contents: keys
				.filter((Key) => Key.startsWith(Prefix))
				.slice(0, MaxKeys)
				.map((Key) => ({ Key })),
		};
	};
	return {
		client: { send },
		name: "shop",
		config: { checksumMode: "when_supported" },
		signal: new AbortController().signal,
	} as unknown as Bucket;
}

test("what is forbidden and not listed is not there", async () => {
	const listed: (string | undefined)[] = [];
	expect(await headOf(guarded([], listed), key)).toBeUndefined();
	expect(listed).toEqual([key]);
	expect(await headOf(guarded([`${key}.json`]), key)).toBeUndefined();
});

test("what is forbidden and listed is there, and the rights are not enough", async () => {
	await expect(headOf(guarded([key, `${key}.json`]), key)).rejects.toBe(forbidden);
});

test("a writer that may not list either learns that its rights are not enough", async () => {
	const denied = Object.assign(new Error("Access Denied"), { name: "AccessDenied" });
	await expect(headOf(guarded(denied), key)).rejects.toBe(denied);
});
