import * as pulumi from "@pulumi/pulumi";
import { readerPolicy, type StackKeys, writerPolicy } from "./access-policies.ts";
import * as aws from "./aws.ts";
import type { BackupBucket } from "./backup-bucket.ts";
import type { StackSettings } from "./settings.ts";

export interface BackupIdentitiesArgs {
	readonly bucket: BackupBucket;
	/** What the keys of the stack's copies begin with, without the slash at its end. */
	readonly keyPrefix: string;
	readonly settings: Pick<
		StackSettings,
		"offsiteBucket" | "offsiteCredentials" | "offsiteOldKmsKeys" | "offsiteWriterRole"
	>;
	readonly tags: Readonly<Record<string, string>>;
}

/** All identities lie under one path, so that an account's administrator finds them. */
const path = "/persistent-stack/";

/**
 * Who uses the bucket: a writer that can add and not delete, and a reader for restores. Each is a policy; where
 * the credentials are generated, there is a user for each too, of whom only the writer gets a key.
 */
export class BackupIdentities extends pulumi.ComponentResource {
	/** ARN of the policy to attach to whoever uploads. */
	readonly writerPolicy: pulumi.Output<string>;
	/** ARN of the policy to attach to whoever restores. */
	readonly readerPolicy: pulumi.Output<string>;
	/** The writer's key; undefined where it has one already, or needs none. */
	readonly writerKey:
		| { readonly id: pulumi.Output<string>; readonly secret: pulumi.Output<string> }
		| undefined;

	constructor(name: string, args: BackupIdentitiesArgs, opts?: pulumi.ComponentResourceOptions) {
		super("persistent-stack:aws:BackupIdentities", name, {}, opts);
		const { settings, tags } = args;
		const child = { parent: this };
		const keys: pulumi.Output<StackKeys> = args.bucket.keyed.apply((bucket) => ({
			...bucket,
			keyPrefix: args.keyPrefix,
			oldKeyArns: settings.offsiteOldKmsKeys,
		}));
		const createPolicy = (who: string, description: string, document: (keys: StackKeys) => unknown) =>
			new aws.Policy(
				`${name}-${who}-policy`,
				{
					name: `${settings.offsiteBucket}-${who}`,
					path,
					description,
					policy: pulumi.jsonStringify(keys.apply(document)),
					tags,
				},
				child,
			).arn;
		const createUser = (who: string, policyArn: pulumi.Output<string>) => {
			const user = new aws.User(
				`${name}-${who}`,
				{ name: `${settings.offsiteBucket}-${who}`, path, tags },
				child,
			);
			new aws.UserPolicyAttachment(`${name}-${who}-attachment`, { user: user.name, policyArn }, child);
			return user;
		};

		this.writerPolicy = createPolicy(
			"writer",
			"Adds recovery points and reads them back; deletes nothing",
			writerPolicy,
		);
		this.readerPolicy = createPolicy("reader", "Reads recovery points, for a restore", readerPolicy);
		if (settings.offsiteCredentials === "generated") {
			const writer = createUser("writer", this.writerPolicy);
			createUser("reader", this.readerPolicy);
			const key = new aws.AccessKey(`${name}-writer-key`, { user: writer.name }, child);
			this.writerKey = { id: key.id, secret: key.secret };
		}
		if (settings.offsiteWriterRole) {
			new aws.RolePolicyAttachment(
				`${name}-writer-attachment`,
				{ role: settings.offsiteWriterRole, policyArn: this.writerPolicy },
				child,
			);
		}
		this.registerOutputs({ writerPolicy: this.writerPolicy, readerPolicy: this.readerPolicy });
	}
}
