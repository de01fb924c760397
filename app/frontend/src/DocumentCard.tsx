import type { StoredDocument } from "./api.ts";
import { extension, isImage } from "./files.ts";

const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export function DocumentCard({ document }: { document: StoredDocument }) {
	const { title, filename, url, uploadedAt } = document;
	return (
		<li>
			<a className="card" href={url} target="_blank" rel="noreferrer" aria-label={`${title} (${filename})`}>
				<span className="preview">
					{isImage(filename) ? (
						<img src={url} alt={title} loading="lazy" />
					) : (
						<span className="badge" aria-hidden="true">
							{extension(filename) || "file"}
						</span>
					)}
				</span>
				<span className="caption">
					<strong>{title}</strong>
					<span className="filename">{filename}</span>
					<time dateTime={uploadedAt}>{dateFormat.format(new Date(uploadedAt))}</time>
				</span>
			</a>
		</li>
	);
}
