/**
 * Jest without a transformer: Node strips the types itself. It needs NODE_OPTIONS=--experimental-vm-modules;
 * test/run.ts sets that and chooses the folders: test/unit, test/setup, test/cli, test/integration, test/e2e.
 */
export default {
	transform: {},
	extensionsToTreatAsEsm: [".ts"],
	testEnvironment: "node",
	roots: ["<rootDir>/test"],
	testMatch: ["**/*.test.ts"],
	testTimeout: 30_000,
};
