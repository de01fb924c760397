/**
 * An error whose message is all there is to say: Pulumi prints it without a stack trace.
 *
 * The mark is what `pulumi.RunError` carries; its class is not used, because the commands that share these
 * errors must not import Pulumi.
 */
export class RunError extends Error {
	override readonly name: string = "RunError";
	readonly __pulumiRunError = true;
}
