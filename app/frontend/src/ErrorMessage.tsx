/** Announced by screen readers when it appears; nothing without a text. */
export function ErrorMessage({ text }: { text: string }) {
	if (!text) return null;
	return (
		<p role="alert" className="error">
			{text}
		</p>
	);
}
