import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { memoryStore } from "@tenure/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { clock as newClock } from "./clock.ts";
import { lend } from "./ipc-store.ts";
import { ACTS, ENDINGS, raceOn, type Site } from "./race.ts";
import { sessionsOn } from "./sessions-on.ts";
import { stage } from "./stage.ts";

const clock: Clock = newClock();
const store = memoryStore({ clock });
let child: ChildProcess;
let elsewhere: Site;

beforeAll(async () => {
  child = fork(fileURLToPath(new URL("./second-process.ts", import.meta.url)), {
    execArgv: ["--conditions=@tenure/source"],
  });
  elsewhere = await new Promise<Site>((resolve, reject) => {
    child.on("message", (message: Partial<Site>) => {
      if (message.origin !== undefined) resolve(message as Site);
    });
    child.on("exit", (code) => reject(new Error(`the second process ended with ${code}`)));
    lend(store, child);
  });
});
afterAll(() => {
  child.removeAllListeners("exit");
  child.disconnect();
});

describe.for(ENDINGS)("after $name in this process", (ending) => {
  test.for(ACTS)(
    "a request in another process that $name changes nothing and has status 200",
    async (act) => {
      const { other } = await stage(1, { storeOf: () => store });
      const set = { slow: elsewhere, other, store, clock, sessions: sessionsOn(store) };
      const outcome = await raceOn(set, act, ending);
      expect(outcome).toEqual({ status: 200, seen: "{}", left: act.isLogout ? 0 : ending.left });
    },
  );
});
