/** The plan or a step of it failed. What was done before is recorded in the state. */
export class EngineError extends Error {
	override readonly name: string = "EngineError";
}

/** Docker or Pulumi cannot be reached. */
export class UnreachableError extends EngineError {
	override readonly name = "UnreachableError";
}

/** A container did not get healthy in its time. */
export class UnhealthyError extends EngineError {
	override readonly name = "UnhealthyError";
}

/** A plan was refused because it would delete or replace data; nothing was changed. */
export class DataLossError extends EngineError {
	override readonly name = "DataLossError";
}
