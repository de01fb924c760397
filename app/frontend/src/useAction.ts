import { useState } from "react";

/** Runs one request at a time and keeps what a person needs to see of it: whether it runs and why it failed. */
export function useAction<Arguments extends unknown[]>(action: (...args: Arguments) => Promise<void>) {
	const [busy, setBusy] = useState(false);
	const [error, setError] = useState("");

	async function run(...args: Arguments): Promise<void> {
		setBusy(true);
		setError("");
		try {
			await action(...args);
		} catch (cause) {
			setError(cause instanceof Error ? cause.message : String(cause));
		} finally {
			setBusy(false);
		}
	}

	return { run, busy, error };
}
