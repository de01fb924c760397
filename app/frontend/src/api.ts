/** The backend's JSON API; every call throws an ApiError whose message can be shown as it is. */

export interface User {
	username: string;
}

export interface StoredDocument {
	id: number;
	title: string;
	filename: string;
	/** Path on this origin, served by nginx. */
	url: string;
	/** ISO 8601. */
	uploadedAt: string;
}

export class ApiError extends Error {
	readonly status: number;

	constructor(message: string, status: number) {
		super(message);
		this.name = "ApiError";
		this.status = status;
	}
}

export function readCookie(name: string, cookies: string): string {
	const prefix = `${name}=`;
	const entry = cookies.split("; ").find((cookie) => cookie.startsWith(prefix));
	return entry ? decodeURIComponent(entry.slice(prefix.length)) : "";
}

/** One sentence or more for people: the reasons of the fields where there are any, else the error itself. */
export function errorMessage(status: number, body: unknown): string {
	if (typeof body === "object" && body !== null && "error" in body) {
		const fields = "fields" in body ? Object.values(body.fields as Record<string, string[]>).flat() : [];
		return [String(body.error), ...fields].join(" ");
	}
	if (status === 413) return "The file is larger than the server accepts.";
	return `The server answered with an error (${status}). Please try again.`;
}

async function request<Body>(path: string, init: RequestInit = {}): Promise<Body> {
	const headers = new Headers(init.headers);
	// Read for every request: signing in gives a new token.
	if (init.method === "POST") headers.set("X-CSRFToken", readCookie("csrftoken", document.cookie));
	let response: Response;
	try {
		response = await fetch(`/api/${path}`, { ...init, headers });
	} catch {
		throw new ApiError("The server cannot be reached. Check the connection and try again.", 0);
	}
	// A proxy's own error pages are no JSON.
	const body: unknown = await response.json().catch(() => null);
	if (!response.ok || body === null) throw new ApiError(errorMessage(response.status, body), response.status);
	return body as Body;
}

interface Session {
	user: User | null;
}

export async function loadSession(): Promise<User | null> {
	return (await request<Session>("session")).user;
}

export async function logIn(username: string, password: string): Promise<User | null> {
	const body = JSON.stringify({ username, password });
	const headers = { "Content-Type": "application/json" };
	return (await request<Session>("login", { method: "POST", headers, body })).user;
}

export async function logOut(): Promise<void> {
	await request<Session>("logout", { method: "POST" });
}

export async function listDocuments(): Promise<StoredDocument[]> {
	return (await request<{ documents: StoredDocument[] }>("documents")).documents;
}

export async function uploadDocument(title: string, file: File): Promise<StoredDocument> {
	const body = new FormData();
	body.set("title", title);
	body.set("file", file);
	return (await request<{ document: StoredDocument }>("documents", { method: "POST", body })).document;
}
