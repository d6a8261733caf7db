import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { memoryStore } from "@tenure/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newClock } from "./clock.ts";
import { serveStore } from "./ipc-store.ts";
import { ENDINGS, LATE_REQUESTS, raceOn } from "./race.ts";
import { type Server, startServers } from "./servers.ts";

const clock = newClock();
const store = memoryStore({ clock });
let child: ChildProcess;
let otherProcess: Server;

beforeAll(async () => {
  child = fork(fileURLToPath(new URL("./second-process.ts", import.meta.url)), {
    execArgv: ["--conditions=@tenure/source"],
  });
  otherProcess = await new Promise<Server>((resolve, reject) => {
    child.on("message", (message: Partial<Server>) => {
      if (message.origin !== undefined) resolve(message as Server);
    });
    child.on("exit", (code) => reject(new Error(`the second process ended with ${code}`)));
    serveStore(store, child);
  });
});
afterAll(() => {
  child.removeAllListeners("exit");
  child.disconnect();
});

describe.for(ENDINGS)("after $name in this process", (ending) => {
  test.for(LATE_REQUESTS)(
    "a request in another process that $name does not bring the session back and has status 200",
    async (request) => {
      const servers = await startServers(1, { storeOf: () => store });
      const outcome = await raceOn({ ...servers, slow: otherProcess, clock }, request, ending);
      expect(outcome).toEqual({ status: 200, seen: "{}", left: request.isLogout ? 0 : ending.left });
    },
  );
});
