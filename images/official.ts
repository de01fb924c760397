/** The images that a stack is made of, other than those it builds itself. */
export const imageNames = ["postgres", "redis", "nginx", "python", "node"] as const;

/** One of the five base images. */
export type ImageName = (typeof imageNames)[number];

/**
 * Official images, pinned to a full version and Debian release: the same commit gives the same stack.
 *
 * PostgreSQL stays on 17: from 18 on the official image keeps its data elsewhere than the spec's mount path.
 */
export const officialImages: Record<ImageName, string> = {
	postgres: "postgres:17.6-bookworm",
	redis: "redis:8.2.2-bookworm",
	nginx: "nginx:1.28.0-bookworm",
	python: "python:3.13.7-slim-bookworm",
	node: "node:24.9.0-bookworm-slim",
};
