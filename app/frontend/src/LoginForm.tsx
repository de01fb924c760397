import { logIn, type User } from "./api.ts";
import { ErrorMessage } from "./ErrorMessage.tsx";
import { useAction } from "./useAction.ts";

export function LoginForm({ onLogin }: { onLogin: (user: User | null) => void }) {
	const login = useAction(async (form: FormData) => {
		onLogin(await logIn(String(form.get("username")), String(form.get("password"))));
	});

	return (
		<section className="panel login" aria-labelledby="login-heading">
			<h2 id="login-heading">Sign in</h2>
			<p className="hint">Your documents are where you left them.</p>
			<form
				onSubmit={(event) => {
					event.preventDefault();
					login.run(new FormData(event.currentTarget));
				}}
			>
				<label>
					Username
					<input name="username" autoComplete="username" autoCapitalize="none" required />
				</label>
				<label>
					Password
					<input name="password" type="password" autoComplete="current-password" required />
				</label>
				<ErrorMessage text={login.error} />
				<button type="submit" disabled={login.busy}>
					{login.busy ? "Signing in…" : "Sign in"}
				</button>
			</form>
		</section>
	);
}
