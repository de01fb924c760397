/** An S3 server in a container of its own, for agents that are in containers too; this host has it at a loopback port. */
import { randomBytes } from "node:crypto";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { docker, testLabel, waitFor } from "../support/docker.ts";
import { keys, region } from "./s3-servers.ts";

const port = 7070;

export class S3Container {
	/** Its address on the networks that it has joined. */
	readonly endpoint = `http://s3.test:${port}`;
	/** A client of this host, with every right. */
	readonly client: S3Client;
	readonly #container: string;

	/**
	 * @param program of Versity's gateway, which needs nothing of its image.
	 * @param image with a shell.
	 */
	constructor(program: string, image: string) {
		this.#container = `stack-test-s3-${randomBytes(4).toString("hex")}`;
		const start = `mkdir -p /data/meta /data/objects
			exec /s3-server --port :${port} --region ${region} --quiet posix --sidecar /data/meta /data/objects`;
		docker(
			...["run", "--detach", "--init", "--label", testLabel, "--name", this.#container, "--user", "0:0"],
			...["--publish", `127.0.0.1::${port}`, "--volume", `${program}:/s3-server:ro`, "--volume", "/data"],
			...["--env", `ROOT_ACCESS_KEY=${keys.accessKeyId}`, "--env", `ROOT_SECRET_KEY=${keys.secretAccessKey}`],
			...["--entrypoint", "sh", image, "-c", start],
		);
		const published = docker("port", this.#container, `${port}/tcp`).split("\n")[0];
		this.client = new S3Client({
			region,
			endpoint: `http://${published}`,
			forcePathStyle: true,
			credentials: keys,
		});
		waitFor(() =>
			docker(
				"exec",
				this.#container,
				"sh",
				"-c",
				`grep -q :${port.toString(16).toUpperCase()} /proc/net/tcp*`,
			),
		);
	}

	async createBucket(name: string): Promise<void> {
		await this.client.send(new CreateBucketCommand({ Bucket: name }));
	}

	join(network: string): void {
		docker("network", "connect", "--alias", "s3.test", network, this.#container);
	}

	leave(network: string): void {
		docker("network", "disconnect", network, this.#container);
	}

	/** Connections stand, and nothing comes back. */
	pause(): void {
		docker("pause", this.#container);
	}

	unpause(): void {
		docker("unpause", this.#container);
	}

	stop(): void {
		this.client.destroy();
		docker("rm", "--force", "--volumes", this.#container);
	}
}
