import { useEffect, useState } from "react";
import { ApiError, listDocuments, type StoredDocument } from "./api.ts";
import { DocumentCard } from "./DocumentCard.tsx";
import { ErrorMessage } from "./ErrorMessage.tsx";
import { UploadForm } from "./UploadForm.tsx";
import { useAction } from "./useAction.ts";

/** The documents of the signed-in user, newest first, and the form that adds one. */
export function Library({ onSessionLost }: { onSessionLost: () => void }) {
	const [documents, setDocuments] = useState<StoredDocument[]>();
	const list = useAction(async () => {
		try {
			setDocuments(await listDocuments());
		} catch (error) {
			if (error instanceof ApiError && error.status === 401) return onSessionLost();
			throw error;
		}
	});

	// biome-ignore lint/correctness/useExhaustiveDependencies: once, when the user has signed in
	useEffect(() => void list.run(), []);

	return (
		<div className="library">
			<UploadForm
				onUploaded={(added) => setDocuments((known = []) => [added, ...known])}
				onSessionLost={onSessionLost}
			/>
			<section aria-labelledby="documents-heading">
				<div className="heading">
					<h2 id="documents-heading">Your documents</h2>
					{documents && <span className="count">{documents.length}</span>}
				</div>
				<ErrorMessage text={list.error} />
				{list.error && (
					<button type="button" disabled={list.busy} onClick={() => list.run()}>
						Try again
					</button>
				)}
				{list.busy && <p role="status">Loading…</p>}
				{documents?.length === 0 && <p className="empty">Nothing here yet. Upload your first document.</p>}
				{documents && documents.length > 0 && (
					<ul className="cards" aria-labelledby="documents-heading">
						{documents.map((one) => (
							<DocumentCard key={one.id} document={one} />
						))}
					</ul>
				)}
			</section>
		</div>
	);
}
