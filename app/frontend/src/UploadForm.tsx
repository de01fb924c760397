import { useRef, useState } from "react";
import { ApiError, type StoredDocument, uploadDocument } from "./api.ts";
import { ErrorMessage } from "./ErrorMessage.tsx";
import { titleFor } from "./files.ts";
import { useAction } from "./useAction.ts";

interface UploadFormProps {
	onUploaded: (added: StoredDocument) => void;
	onSessionLost: () => void;
}

export function UploadForm({ onUploaded, onSessionLost }: UploadFormProps) {
	const form = useRef<HTMLFormElement>(null);
	const [title, setTitle] = useState("");
	/** The title taken from the chosen file: another file may replace it, typed words stay. */
	const suggestion = useRef("");
	const [done, setDone] = useState("");

	function suggestTitle(next: string) {
		const former = suggestion.current;
		suggestion.current = next;
		setTitle((shown) => (shown === former ? next : shown));
	}

	const upload = useAction(async (file: File) => {
		setDone("");
		try {
			const added = await uploadDocument(title, file);
			onUploaded(added);
			setDone(`“${added.title}” is uploaded.`);
			form.current?.reset();
			suggestion.current = "";
			setTitle("");
		} catch (error) {
			if (error instanceof ApiError && error.status === 401) return onSessionLost();
			throw error;
		}
	});

	return (
		<section className="panel" aria-labelledby="upload-heading">
			<h2 id="upload-heading">Add a document</h2>
			<form
				ref={form}
				onSubmit={(event) => {
					event.preventDefault();
					upload.run(new FormData(event.currentTarget).get("file") as File);
				}}
			>
				<label>
					File
					<input
						name="file"
						type="file"
						required
						onChange={(event) => {
							const chosen = event.currentTarget.files?.[0];
							if (chosen) suggestTitle(titleFor(chosen.name));
						}}
					/>
				</label>
				<label>
					Title
					<input
						name="title"
						maxLength={200}
						required
						value={title}
						onChange={(event) => setTitle(event.currentTarget.value)}
					/>
				</label>
				<ErrorMessage text={upload.error} />
				<button type="submit" disabled={upload.busy}>
					{upload.busy ? "Uploading…" : "Upload"}
				</button>
				<p role="status" className="success">
					{done}
				</p>
			</form>
			<p className="hint">Documents, images, audio, video and archives up to 20 MB.</p>
		</section>
	);
}
