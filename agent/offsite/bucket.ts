/** A stack's place in a bucket: the client, and what every request to it has in common. */
import { S3Client, type ServerSideEncryption } from "@aws-sdk/client-s3";
import { fromIni } from "@aws-sdk/credential-provider-ini";
import { ConfiguredRetryStrategy } from "@smithy/core/retry";
import { destinationOf, keyPrefix } from "../../recovery/offsite.ts";
import type { AgentConfig, OffsiteConfig } from "../config.ts";
import { AgentError, exitCodes } from "../failure.ts";

const longestPauseSeconds = 20;
const connectSeconds = 10;

export interface Bucket {
	readonly client: S3Client;
	readonly config: OffsiteConfig;
	readonly name: string;
	/** `s3://bucket/prefix/stack`. */
	readonly destination: string;
	/** Keys of the stack's objects begin with this. */
	readonly keyPrefix: string;
	/** What every new object is given. */
	readonly encryption: {
		ServerSideEncryption?: ServerSideEncryption;
		SSEKMSKeyId?: string;
		BucketKeyEnabled?: boolean;
	};
	readonly signal: AbortSignal;
}

/** @throws AgentError where the settings have no offsite destination. */
export function requireOffsite({ offsite, stack }: AgentConfig): OffsiteConfig {
	if (offsite) return offsite;
	throw new AgentError(
		`stack ${stack} has no offsite destination; write offsite: true and offsiteBucket into its settings, then ./docker-dev.sh up`,
		exitCodes.usage,
	);
}

/**
 * Opens it; nothing is asked of the server yet. The key is read afresh from its file, so that a new one counts
 * without a restart. The caller destroys the client.
 *
 * @param credentialsFile a key other than the settings', as for a restore by the reader.
 */
export function openBucket(agent: AgentConfig, signal: AbortSignal, credentialsFile?: string): Bucket {
	const config = requireOffsite(agent);
	const { credentials, kmsKeyId } = config;
	const file = credentialsFile ?? (credentials.source === "file" ? credentials.file : undefined);
	const mode = config.checksumMode === "when_required" ? "WHEN_REQUIRED" : "WHEN_SUPPORTED";
	return {
		client: new S3Client({
			region: config.region,
			endpoint: config.endpoint,
			forcePathStyle: config.forcePathStyle,
			requestChecksumCalculation: mode,
			// Everything that is downloaded is compared with the SHA-256 of its index.
			responseChecksumValidation: "WHEN_REQUIRED",
			// Without a file the SDK's own chain finds the machine's role.
			credentials: file
				? fromIni({ filepath: file, configFilepath: file, profile: "default", ignoreCache: true })
				: undefined,
			retryStrategy: new ConfiguredRetryStrategy(
				config.attempts,
				(attempt) =>
					1000 *
					Math.min(longestPauseSeconds, config.pauseSeconds * 2 ** attempt) *
					(0.5 + Math.random() / 2),
			),
			requestHandler: {
				connectionTimeout: connectSeconds * 1000,
				socketTimeout: config.idleSeconds * 1000,
			},
		}),
		config,
		name: config.bucket,
		destination: destinationOf(config, agent.stack),
		keyPrefix: keyPrefix(config, agent.stack),
		encryption: kmsKeyId
			? { ServerSideEncryption: "aws:kms", SSEKMSKeyId: kmsKeyId, BucketKeyEnabled: true }
			: {},
		signal,
	};
}

/** Address of an object, for people. */
export function urlOf(bucket: Bucket, key: string): string {
	return `s3://${bucket.name}/${key}`;
}
