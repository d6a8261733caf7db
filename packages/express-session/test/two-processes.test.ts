import { fork, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { memoryStore } from "@tenure/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { clock as newClock } from "./clock.ts";
import { lend } from "./ipc-store.ts";
import { ACTS, ENDINGS, race, type Site } from "./race.ts";
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
  test.for(ACTS)("a request in another process that $name changes nothing and answers 200", async (act) => {
    const here = await stage(1, { storeOf: () => store });
    const origin = act.resave ? elsewhere.resaving : elsewhere.origin;
    const user = randomUUID();
    const set = { ...here, clock, sessions: sessionsOn(store) };
    const outcome = await race(
      { origin },
      act,
      (browser) => ending.end(set, browser.twin(here.other.origin), user),
      user,
    );
    expect(outcome).toEqual({ status: 200, seen: "{}" });
    expect(await set.sessions.listForUser(user)).toHaveLength(ending.left);
  });
});
