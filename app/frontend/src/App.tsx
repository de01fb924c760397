import { useCallback, useEffect, useState } from "react";
import { loadSession, logOut, type User } from "./api.ts";
import { ErrorMessage } from "./ErrorMessage.tsx";
import { Library } from "./Library.tsx";
import { LoginForm } from "./LoginForm.tsx";
import { Logo } from "./Logo.tsx";
import { useAction } from "./useAction.ts";

export function App() {
	/** Undefined until the server has said who is signed in. */
	const [user, setUser] = useState<User | null>();
	const session = useAction(async () => setUser(await loadSession()));
	const leave = useAction(async () => {
		await logOut();
		setUser(null);
	});
	const forgetUser = useCallback(() => setUser(null), []);

	// biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page opens
	useEffect(() => void session.run(), []);

	return (
		<>
			<header className="bar">
				<h1 className="brand">
					<Logo />
					Documents
				</h1>
				{user && (
					<div className="account">
						<span>
							Signed in as <strong>{user.username}</strong>
						</span>
						<button type="button" className="quiet" disabled={leave.busy} onClick={() => leave.run()}>
							Sign out
						</button>
					</div>
				)}
			</header>
			<main>
				<ErrorMessage text={session.error || leave.error} />
				{session.error && (
					<button type="button" disabled={session.busy} onClick={() => session.run()}>
						Try again
					</button>
				)}
				{user === null && <LoginForm onLogin={setUser} />}
				{user && <Library key={user.username} onSessionLost={forgetUser} />}
				{user === undefined && session.busy && <p role="status">Loading…</p>}
			</main>
		</>
	);
}
