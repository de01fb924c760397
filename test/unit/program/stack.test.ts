/** What the program declares. Mocks accept anything: that an engine takes it is proved by the other suites. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { isSecret, plain, type Value } from "../../../engine/local/values.ts";
import { expectedComponents, expectedCounts, expectedInputs, kinds } from "./expected.ts";
import { type RecordedStack, recordStack, secretMark } from "./record.ts";

describe.each(kinds)("the $stack stack", (kind) => {
	let stack: RecordedStack;
	beforeAll(async () => {
		stack = await recordStack({ stack: kind.stack });
	});

	test("consists of exactly these objects, and of no other type", () => {
		const counts: Record<string, number> = {};
		for (const { type, custom } of stack.resources) if (custom) counts[type] = (counts[type] ?? 0) + 1;
		expect(counts).toEqual(expectedCounts(kind));
	});

	test("is grouped in exactly these components, by type token, name and parent", () => {
		const components = stack.resources.filter(({ custom }) => !custom);
		expect(components.map(({ type, name, parent }) => [type, name, parent]).sort()).toEqual(
			expectedComponents(kind)
				.map((row) => [...row])
				.sort(),
		);
	});

	test.each(Object.keys(expectedInputs(kind)))("declares %s with exactly these inputs", (name) => {
		expect(stack.named(name).inputs).toEqual(expectedInputs(kind)[name]);
	});

	test("declares nothing that the table of inputs does not have", () => {
		const names = stack.resources.filter(({ custom }) => custom).map(({ name }) => name);
		expect(names.sort()).toEqual(Object.keys(expectedInputs(kind)).sort());
	});

	test("names every child after its parent, so that no two instances can collide", () => {
		const strays = stack.resources.filter(({ name, parent }) => !name.startsWith(parent));
		expect(strays).toEqual([]);
		expect(stack.resources.filter(({ parent }) => parent === "").map(({ name }) => name)).toEqual(["stack"]);
	});

	test("registers the outputs of every component, so that an engine knows that it is complete", () => {
		const open = stack.resources.filter(({ custom, outputs }) => !custom && outputs === undefined);
		expect(open).toEqual([]);
		expect(stack.resources.find(({ name }) => name === "stack")?.outputs).toMatchObject({
			url: `http://127.0.0.1:${kind.port}`,
			volumes: { "postgres-data": `${kind.prefix}-postgres-data` },
		});
	});

	test("replaces containers before their successors, and on the changes that Docker would ignore", () => {
		for (const { options } of stack.ofType("docker:index/container:Container")) {
			expect(options).toMatchObject({
				replaceOnChanges: ["healthcheck", "tmpfs", "init"],
				deleteBeforeReplace: true,
				ignoreChanges: [],
				protect: false,
				retainOnDelete: false,
			});
		}
	});

	test("refers to images, volumes and networks by what the engine made, so that order and changes follow", () => {
		expect(stack.named("stack-backend-container").options.dependencies).toEqual(
			expect.arrayContaining([
				"stack-images-backend",
				"stack-volumes-backend-media",
				"stack-volumes-backend-static",
				"stack-networks-edge",
				"stack-networks-data",
			]),
		);
		expect(stack.named("stack-db-container").options.dependencies).toEqual(
			expect.arrayContaining([
				"stack-images-postgres",
				"stack-volumes-postgres-data",
				"stack-secrets-database-password",
			]),
		);
	});

	test("starts the backend after the migrations, and these after database and cache", () => {
		const component = (name: string) =>
			stack.resources.find((resource) => resource.name === name && !resource.custom)?.options.dependencies;
		expect(component("stack-backend")).toEqual(["stack-migrations-run"]);
		expect(component("stack-migrations")).toEqual(
			expect.arrayContaining(["stack-db-container", "stack-redis-container", "stack-host-make"]),
		);
		expect(component("stack-smoke")).toEqual(
			expect.arrayContaining([
				"stack-backend-container",
				"stack-frontend-container",
				"stack-proxy-container",
			]),
		);
	});

	test("makes no volume or network before it is known which engine makes them", () => {
		for (const name of ["stack-volumes", "stack-networks"]) {
			const component = stack.resources.find((resource) => resource.name === name);
			expect(component?.options.dependencies).toEqual(["stack-engine-record-write"]);
		}
	});

	test("marks every secret value as secret wherever it goes", () => {
		const occurrences = stack.resources.map(({ wire }) => countMarks(wire));
		// Three uploads to the backend, one to the database, two each to cache and backup, three to the migrations,
		// and one more to the backup where it has a key for a bucket.
		expect(sum(occurrences.map(({ sealed }) => sealed))).toBe(kind.offsite ? 12 : 11);
		expect(sum(occurrences.map(({ open }) => open))).toBe(0);
	});

	test("shows no secret value in anything of a container that docker inspect prints", () => {
		for (const { name, inputs } of stack.ofType("docker:index/container:Container")) {
			const { uploads: _, ...inspectable } = inputs;
			expect(`${name}: ${JSON.stringify(inspectable)}`).not.toContain(secretMark);
		}
	});

	test("publishes one port, that of the proxy, on the loopback address alone", () => {
		const published = stack
			.ofType("docker:index/container:Container")
			.filter(({ inputs }) => inputs.ports !== undefined);
		expect(published.map(({ name }) => name)).toEqual(["stack-proxy-container"]);
		expect(published[0]?.inputs.ports).toMatchObject([{ ip: "127.0.0.1" }]);
	});

	test("keeps the database and the cache off every network that leads outside", () => {
		for (const name of ["stack-db-container", "stack-redis-container"]) {
			const networks = stack.named(name).inputs.networksAdvanced as { name: string }[];
			expect(networks.map((network) => network.name)).toEqual([`${kind.prefix}-data`]);
		}
		expect(stack.named("stack-networks-data").inputs.internal).toBe(true);
	});

	test("gives a way out to the sidecar alone, and only where it has something to send", () => {
		const sending = stack
			.ofType("docker:index/container:Container")
			.filter(({ inputs }) => JSON.stringify(inputs.networksAdvanced).includes("-egress"));
		expect(sending.map(({ name }) => name)).toEqual(kind.offsite ? ["stack-backup-container"] : []);
	});
});

describe("production mode", () => {
	test.each(["staging", "prod"])("mounts no source and reloads nothing in %s", async (name) => {
		const stack = await recordStack({ stack: name });
		for (const { inputs } of stack.ofType("docker:index/container:Container")) {
			const mounts = inputs.mounts as { type: string; source: string }[];
			const binds = mounts.filter(({ type }) => type === "bind").map(({ source }) => source);
			const written = [`/srv/shop/backend/logs-${name}`, `/srv/shop/backups/${name}`];
			expect(binds.filter((source) => !written.includes(source))).toEqual([]);
		}
		const everything = JSON.stringify(stack.resources);
		expect(everything).not.toContain("--reload");
		expect(everything).not.toContain("DJANGO_DEBUG=1");
		expect(stack.named("stack-migrations-run").inputs.environment).toMatchObject({ SOURCE: "" });
	});

	test("is what a stack file that says nothing gets", async () => {
		const stack = await recordStack({ stack: "qa" });
		expect(stack.named("stack-images-frontend").inputs.build).toMatchObject({ target: "production" });
		expect(JSON.stringify(stack.resources)).not.toContain("--reload");
		expect(stack.named("stack-db-container").inputs.name).toBe("app-qa-db");
	});
});

describe("a team's own application", () => {
	test("is run from its images, and neither sample is built or mounted", async () => {
		const stack = await recordStack({
			stack: "dev",
			settings: { backendImage: "shop/api:3", frontendImage: "shop/web:7" },
		});
		expect(stack.ofType("docker:index/image:Image").map(({ name }) => name)).toEqual(["stack-images-backup"]);
		expect(stack.named("stack-images-backend").inputs).toEqual({ name: "shop/api:3", keepLocally: true });
		expect(stack.named("stack-images-frontend").inputs).toEqual({ name: "shop/web:7", keepLocally: true });
		expect(stack.named("stack-backend-container").inputs.image).toBe("sha256:pulled-shop/api:3");
		expect(stack.named("stack-frontend-container").inputs.image).toBe("sha256:pulled-shop/web:7");
		const mounts = stack
			.ofType("docker:index/container:Container")
			.flatMap(({ inputs }) => inputs.mounts as { source: string }[])
			.map(({ source }) => source);
		expect(mounts).not.toContain("/srv/shop/app/backend");
		expect(mounts).not.toContain("/srv/shop/app/frontend");
		expect(stack.named("stack-migrations-run").inputs).toMatchObject({
			environment: { IMAGE: "sha256:pulled-shop/api:3", SOURCE: "" },
			triggers: ["sha256:pulled-shop/api:3", "python manage.py migrate --noinput"],
		});
	});

	test("can replace the backend alone; the frontend is then still the sample", async () => {
		const stack = await recordStack({ stack: "dev", settings: { backendImage: "shop/api:3" } });
		expect(stack.ofType("docker:index/image:Image").map(({ name }) => name)).toEqual([
			"stack-images-frontend",
			"stack-images-backup",
		]);
	});

	test("is asked for its health and migrated in its own way", async () => {
		const stack = await recordStack({
			stack: "prod",
			settings: {
				backendImage: "shop/api:3",
				backendHealthPath: "/up",
				backendMigrateCommand: "",
				backendEnvironment: ["FEATURE=a=b"],
				allowedHosts: ["shop.example.com"],
			},
		});
		const { inputs } = stack.named("stack-backend-container");
		expect(JSON.stringify(inputs.healthcheck)).toContain("http://127.0.0.1:8000/up");
		expect(inputs.envs).toEqual(
			expect.arrayContaining(["FEATURE=a=b", "DJANGO_ALLOWED_HOSTS=127.0.0.1,localhost,shop.example.com"]),
		);
		expect(stack.named("stack-smoke-run").inputs.environment).toMatchObject({ PATHS: "/up /" });
		expect(stack.named("stack-migrations-run").inputs.environment).toMatchObject({ MIGRATE: "" });
	});
});

describe("settings that change the declaration", () => {
	test("a prefix names containers, networks, images and new volumes", async () => {
		const stack = await recordStack({ stack: "dev", settings: { prefix: "shop" } });
		for (const { inputs } of stack.resources.filter(({ type }) =>
			/^docker:index\/.*:(Container|Network|Volume)$/.test(type),
		)) {
			expect(inputs.name).toMatch(/^shop-/);
		}
		expect(stack.named("stack-images-backend").inputs.imageName).toBe("shop-backend:current");
	});

	test("a volume that exists keeps its name, whatever the prefix, and is what the container mounts", async () => {
		const stack = await recordStack({
			stack: "dev",
			settings: { prefix: "shop" },
			existingVolumes: { "postgres-data": "app-postgres-data" },
		});
		expect(stack.named("stack-volumes-postgres-data").inputs.name).toBe("app-postgres-data");
		expect(stack.named("stack-volumes-redis-data").inputs.name).toBe("shop-redis-data");
		expect(stack.named("stack-db-container").inputs.mounts).toMatchObject([{ source: "app-postgres-data" }]);
	});

	test("labels of the settings are on containers, networks and new volumes, beside the stack's own", async () => {
		const stack = await recordStack({ stack: "dev", settings: { labels: ["team=billing", "note=a=b"] } });
		const labelled = stack.resources.filter(({ type }) =>
			/^docker:index\/.*:(Container|Network|Volume)$/.test(type),
		);
		expect(labelled).toHaveLength(14);
		for (const { inputs } of labelled) {
			expect(inputs.labels).toEqual(
				expect.arrayContaining([
					{ label: "persistent-stack.owner", value: "persistent-stack/dev" },
					{ label: "team", value: "billing" },
					{ label: "note", value: "a=b" },
				]),
			);
		}
	});

	test.each([
		["0.0.0.0", "http://127.0.0.1:9000"],
		["192.0.2.7", "http://192.0.2.7:9000"],
		["::1", "http://[::1]:9000"],
	])("the proxy listens at %s and the stack says %s", async (bindAddress, url) => {
		const stack = await recordStack({ stack: "dev", settings: { bindAddress, port: 9000 } });
		expect(stack.url).toBe(url);
		expect(stack.named("stack-proxy-container").inputs.ports).toEqual([
			{ internal: 8080, external: 9000, ip: bindAddress, protocol: "tcp" },
		]);
	});

	test("a CA image is handed to every build, and to nothing else", async () => {
		const images = { postgres: "pg:17", redis: "rd:8", nginx: "ng:1", python: "py:3", node: "no:24" };
		const stack = await recordStack({ stack: "dev", baseImages: { images, caImage: "ca:1" } });
		const named = stack.resources.filter(({ inputs }) => JSON.stringify(inputs).includes("ca:1"));
		expect(named.map(({ name }) => name).sort()).toEqual([
			"stack-images-backend",
			"stack-images-backup",
			"stack-images-frontend",
		]);
		for (const { inputs } of named) expect(inputs.build).toMatchObject({ args: { CA_IMAGE: "ca:1" } });
	});

	test("memory limits leave no swap, and Redis keeps a quarter of its own free", async () => {
		const stack = await recordStack({ stack: "dev", settings: { redisMemoryMb: 400, dbMemoryMb: 2048 } });
		expect(stack.named("stack-db-container").inputs).toMatchObject({ memory: 2048, memorySwap: 2048 });
		const uploads = stack.named("stack-redis-container").inputs.uploads as { content: string }[];
		expect(uploads[1]?.content).toContain("maxmemory 300mb\n");
	});
});

function sum(numbers: readonly number[]): number {
	return numbers.reduce((total, number) => total + number, 0);
}

/** Places that hold a secret's value: marked as secret, and not. */
function countMarks(value: Value): { sealed: number; open: number } {
	if (isSecret(value)) return { sealed: JSON.stringify(plain(value)).split(secretMark).length - 1, open: 0 };
	if (typeof value === "string") return { sealed: 0, open: value.includes(secretMark) ? 1 : 0 };
	if (value === null || typeof value !== "object") return { sealed: 0, open: 0 };
	const parts = Object.values(value).map(countMarks);
	return { sealed: sum(parts.map((part) => part.sealed)), open: sum(parts.map((part) => part.open)) };
}
