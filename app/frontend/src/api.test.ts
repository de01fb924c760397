import assert from "node:assert/strict";
import { test } from "node:test";
import { errorMessage, readCookie } from "./api.ts";

test("a cookie is found by its whole name", () => {
	const cookies = "xcsrftoken=wrong; csrftoken=a%20token; theme=dark";
	assert.equal(readCookie("csrftoken", cookies), "a token");
	assert.equal(readCookie("token", cookies), "");
});

test("the reasons for each field follow the error", () => {
	const body = { error: "Not uploaded.", fields: { title: ["Give a title."], file: ["It is empty."] } };
	assert.equal(errorMessage(400, body), "Not uploaded. Give a title. It is empty.");
});

test("an answer that is no JSON still gives a sentence", () => {
	assert.match(errorMessage(413, null), /larger/);
	assert.match(errorMessage(502, null), /502/);
});
