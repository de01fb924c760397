export function Logo() {
	return (
		<svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
			<path className="filled" d="M16 4 28 10.5 16 17 4 10.5Z" />
			<path d="m4 16 12 6.5L28 16" />
			<path d="m4 21.5 12 6.5 12-6.5" />
		</svg>
	);
}
