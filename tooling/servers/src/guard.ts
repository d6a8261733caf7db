import { endRun } from "./run.ts";

/** Ends a run when its owner is gone: the owner holds the other end of stdin, and the system closes that even at kill -9. */
const folder = process.argv[2];
process.stdin.resume();
process.stdin.on("end", () => void endRun(folder).finally(() => process.exit()));
