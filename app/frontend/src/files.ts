const IMAGE_EXTENSIONS = new Set(["avif", "gif", "jpeg", "jpg", "png", "webp"]);

/** The extension in lower case, empty for a name without one. */
export function extension(filename: string): string {
	const dot = filename.lastIndexOf(".");
	return dot > 0 ? filename.slice(dot + 1).toLowerCase() : "";
}

export function isImage(filename: string): boolean {
	return IMAGE_EXTENSIONS.has(extension(filename));
}

/** A first title for a file: its name without the extension. */
export function titleFor(filename: string): string {
	const ending = extension(filename);
	return ending ? filename.slice(0, -ending.length - 1) : filename;
}
