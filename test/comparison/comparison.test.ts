import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { server } from "@tenure/servers";
import { getIronSession } from "iron-session";
import { describe, expect, test, vi } from "vitest";
import { TooSlow, withGrowingDeadline } from "../bridges/growing-deadline.ts";
import { listen } from "../bridges/listen.ts";
import { startApplication } from "./application.ts";
import { type OpenStore, peers, tenure } from "./peers.ts";

/** The tests in this file support the table "Compared with" in README.md. */
const servers = {
  redis: await server("redis"),
  postgres: await server("postgres"),
  mongo: await server("mongo"),
};

for (const [name, peer] of Object.entries(peers)) {
  const describePeer = peer.backend ? servers[peer.backend].describe : describe;
  describePeer(name, { concurrent: true }, () => {
    const open = (): Promise<OpenStore> => (peer.backend ? peer.open(servers[peer.backend]) : peer.open());

    test("a slow request brings a logged-out session back", async () => {
      await using app = await opened(open);
      expect(await slowSaveAfterLogout(app)).toBe("late,userId");
    });

    test("of two concurrent requests that change different keys, one loses its change", async () => {
      await using app = await opened(open);
      expect(await twoChanges(app)).toMatch(/^(?:one|two),userId$/u);
    });

    test("a session that is in use does not end", async () => {
      expect(await useBeyondLifetime(open)).toBe("userId");
    });

    test("the store has no method for the sessions of one user", async () => {
      const one = await open();
      expect(methodsOf(one.store).filter((method) => /user/iu.test(method))).toEqual([]);
      await one.close();
    });
  });
}

describe("Tenure", { concurrent: true }, () => {
  test("a slow request does not bring a logged-out session back", async () => {
    await using app = await opened(tenure);
    expect(await slowSaveAfterLogout(app)).toBe("");
  });

  test("two concurrent requests that change different keys both keep their changes", async () => {
    await using app = await opened(tenure);
    expect(await twoChanges(app)).toBe("one,two,userId");
  });

  test("a session that is in use ends at its lifetime", async () => {
    expect(await useBeyondLifetime(tenure)).toBe("");
  });
});

// Not concurrent with other tests, because one test moves the clock.
describe("iron-session", () => {
  test("a copy of the cookie is still valid after a logout", async () => {
    const [cookie] = await ironVisit("", (session) => {
      session["userId"] = "ada";
      return session.save();
    });
    await ironVisit(cookie, async (session) => session.destroy());
    expect((await ironVisit(cookie, async () => undefined))[1]).toEqual({ userId: "ada" });
  });

  test("of two concurrent requests that change different keys, one loses its change", async () => {
    const [one, two] = await Promise.all(
      ["one", "two"].map((key) =>
        ironVisit("", (session) => {
          session[key] = true;
          return session.save();
        }),
      ),
    );
    // A browser keeps only one of the two cookies.
    expect([one?.[1], two?.[1]]).toEqual([{ one: true }, { two: true }]);
  });

  test("each save restarts the lifetime of a session", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const save = (session: IronSession): Promise<void> => session.save();
      const [first] = await ironVisit("", (session) => {
        session["userId"] = "ada";
        return session.save();
      });
      vi.setSystemTime(Date.now() + TTL * 1000);
      const [second] = await ironVisit(first, save);
      vi.setSystemTime(Date.now() + TTL * 1000);
      expect((await ironVisit(first, async () => undefined))[1]).toEqual({});
      expect((await ironVisit(second, async () => undefined))[1]).toEqual({ userId: "ada" });
    } finally {
      vi.useRealTimers();
    }
  });
});

type App = Awaited<ReturnType<typeof startApplication>>;

type Open = (idle: number) => Promise<OpenStore>;

/** @param idle the idle timeout in milliseconds */
async function opened(open: Open, idle = 3600_000): Promise<App> {
  const one = await open(idle);
  const app = await startApplication(one.store, idle);
  return {
    ...app,
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await one.close();
    },
  };
}

/** Returns the keys of the session that the browser's old cookie gives access to. */
async function slowSaveAfterLogout(app: App): Promise<string> {
  await app.get("/login");
  const slow = app.get("/slow/late");
  await app.waitForSlowRequests(1);
  await app.get("/logout");
  expect(await app.get("/")).toBe("");
  app.continueSlowRequests();
  await slow;
  return app.get("/");
}

async function twoChanges(app: App): Promise<string> {
  await app.get("/login");
  const both = [app.get("/slow/one"), app.get("/slow/two")];
  await app.waitForSlowRequests(2);
  app.continueSlowRequests();
  await Promise.all(both);
  return app.get("/");
}

/**
 * Uses a session for three times its idle timeout, at intervals that are shorter than that timeout. Returns
 * its keys afterwards.
 */
function useBeyondLifetime(open: Open): Promise<string> {
  return withGrowingDeadline(1500, async (idle) => {
    await using app = await opened(open, idle);
    let lastSentAt = performance.now();
    const end = lastSentAt + 3 * idle;
    let keys = await app.get("/login");
    while (lastSentAt < end) {
      await sleep(idle / 10);
      const sentAt = performance.now();
      keys = await app.get("/");
      if (performance.now() - lastSentAt > idle) throw new TooSlow();
      lastSentAt = sentAt;
    }
    return keys;
  });
}

function methodsOf(store: object): string[] {
  const methods: string[] = [];
  for (let one = store; one !== Object.prototype; one = Object.getPrototypeOf(one) as object) {
    methods.push(...Object.getOwnPropertyNames(one));
  }
  return methods;
}

type IronSession = Awaited<ReturnType<typeof getIronSession<Record<string, unknown>>>>;

/** In seconds. iron-session accepts a cookie for one more minute, in case clocks differ. */
const TTL = 300;

/** Sends one request with this cookie. Returns the cookie and the data afterwards. */
async function ironVisit(
  cookie: string,
  use: (session: IronSession) => Promise<void>,
): Promise<[cookie: string, data: object]> {
  let data: object = {};
  const options = {
    cookieName: "iron",
    ttl: TTL,
    password: "a password of a test, with more than 32 characters",
  };
  const app = createServer(async (req, res) => {
    const session = await getIronSession<Record<string, unknown>>(req, res, options);
    await use(session);
    data = { ...session };
    res.end();
  });
  const { origin, close } = await listen(app);
  const response = await fetch(origin, { headers: { cookie } });
  await response.text();
  await close();
  return [response.headers.getSetCookie()[0]?.split(";")[0] ?? "", data];
}
