import assert from "node:assert/strict";
import { test } from "node:test";
import { extension, isImage, titleFor } from "./files.ts";

test("images are told by their extension, whatever its case", () => {
	assert.equal(isImage("photo.JPG"), true);
	assert.equal(isImage("photo.jpg.pdf"), false);
	assert.equal(isImage("png"), false);
});

test("a hidden file has no extension", () => {
	assert.equal(extension(".profile"), "");
});

test("a title is the name without its extension", () => {
	assert.equal(titleFor("annual.report.pdf"), "annual.report");
	assert.equal(titleFor("README"), "README");
});
