export { type ExitCode, run } from "./run.ts";
export type { Streams } from "./terminal.ts";
