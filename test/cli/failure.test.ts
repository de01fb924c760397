import { expect, test } from "@jest/globals";
import { StackError } from "../../cli/errors.ts";
import { failureOf, InterruptedError } from "../../cli/failure.ts";
import { GuardError } from "../../components/guard-error.ts";
import { SettingsError } from "../../components/settings-error.ts";
import { DataLossError, EngineError, UnhealthyError, UnreachableError } from "../../engine/errors.ts";
import { LockedError, type LockOwner } from "../../recovery/lock.ts";

const owner: LockOwner = {
	operation: "backup",
	user: "ann",
	host: "box",
	pid: 1,
	processStart: "",
	bootId: "",
	pidNamespace: "",
	since: "2026-01-01T00:00:00Z",
	token: "t",
};

test.each([
	[new StackError("no", { exitCode: 3 }), 3],
	[new StackError("no"), 1],
	[new SettingsError("dev", [{ key: "port", value: "0", fix: "write a port" }]), 2],
	[new LockedError(owner, "/backups/.dev.lock"), 1],
	[new GuardError("a stranger's volume"), 1],
	[new DataLossError("it would destroy data"), 1],
	[new EngineError("a step failed"), 1],
	[new UnreachableError("Docker does not answer"), 5],
	[new UnhealthyError("db did not get healthy"), 6],
	[Object.assign(new Error("EACCES: permission denied, mkdir"), { code: "EACCES" }), 4],
	[new InterruptedError("SIGINT"), 130],
	[new InterruptedError("SIGTERM"), 143],
	[new Error("anything else"), 1],
	["not even an error", 1],
])("%s leads to exit code %d", (error, code) => {
	expect(failureOf(error).exitCode).toBe(code);
});

test("a failure keeps the message and the fix", () => {
	expect(failureOf(new StackError("db does not run", { fix: "./docker-dev.sh start db" }))).toEqual({
		message: "db does not run",
		fix: "./docker-dev.sh start db",
		exitCode: 1,
	});
});
