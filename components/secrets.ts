import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

/** Generated secrets: logical suffix and length in characters. Letters and digits only: safe in any file. */
const generated = {
	databasePassword: { suffix: "database-password", length: 40 },
	redisPassword: { suffix: "redis-password", length: 40 },
	djangoSecretKey: { suffix: "django-secret-key", length: 64 },
} as const;

export type SecretName = keyof typeof generated;

/** Where a container finds a secret. */
export const secretPaths: Readonly<Record<SecretName, string>> = {
	databasePassword: "/run/secrets/database_password",
	redisPassword: "/run/secrets/redis_password",
	djangoSecretKey: "/run/secrets/django_secret_key",
};

/**
 * Passwords that nobody has to invent. They live encrypted in the stack's state and reach containers as
 * files, so `docker inspect` does not show them.
 */
export class Secrets extends pulumi.ComponentResource {
	readonly values: Readonly<Record<SecretName, pulumi.Output<string>>>;

	constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:random:Secrets", name, {}, opts);
		this.values = Object.fromEntries(
			Object.entries(generated).map(([key, { suffix, length }]) => [
				key,
				new random.RandomPassword(`${name}-${suffix}`, { length, special: false }, { parent: this }).result,
			]),
		) as Record<SecretName, pulumi.Output<string>>;
		this.registerOutputs({});
	}

	/** Upload of a generated secret into a container. */
	upload(secret: SecretName) {
		return secretUpload(secretPaths[secret], this.values[secret]);
	}
}

/** Upload of a secret file into a container; readable for the container's own user, which is not root. */
export function secretUpload(file: string, content: pulumi.Input<string>) {
	return { file, content, permissions: "0444" };
}
