import session from "express-session";
import { describe, expect, test, vi } from "vitest";
import { application } from "./app.ts";
import { ACTS, race } from "./race.ts";
import { serve } from "./serve.ts";

/**
 * The same requests against express-session's own store, where they bring the session back: so the tests of the bridge can fail.
 */
describe("with express-session's MemoryStore", () => {
  const saving = ACTS.filter(({ name }) =>
    [
      "saves a change",
      "saves by itself, and again at its end",
      "logs in again",
      "changes nothing and is resaved",
    ].includes(name),
  );
  const endings = [
    {
      name: "a logout",
      end: (browser: { post: (path: string) => Promise<unknown> }) => browser.post("/logout"),
    },
    {
      name: "a regenerate",
      end: (browser: { post: (path: string) => Promise<unknown> }) =>
        browser.post("/slow?do=regenerate,login:ada"),
    },
  ];

  describe.for(endings)("after $name", ({ end }) => {
    test.for(saving)("a request that $name brings the session back", async (act) => {
      const store = new session.MemoryStore();
      const origin = await serve(application(store, { resave: act.resave ?? false }).app);
      const { status, seen } = await race({ origin }, act, end, "ada");
      expect(status).toBe(200);
      expect(JSON.parse(seen)).toMatchObject({ userId: "ada" });
    });
  });

  test.for(saving)("after its time, a request that $name brings the session back", async (act) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    try {
      const store = new session.MemoryStore();
      const cookie = { maxAge: 30 * 60_000 };
      const origin = await serve(application(store, { resave: act.resave ?? false, cookie }).app);
      const { seen } = await race(
        { origin },
        act,
        async (browser) => {
          vi.setSystemTime(Date.now() + cookie.maxAge + 1);
          // Another request finds it dead: it was over for everyone to see.
          expect((await browser.get("/me")).text).toBe("{}");
        },
        "ada",
      );
      expect(JSON.parse(seen)).toMatchObject({ userId: "ada" });
    } finally {
      vi.useRealTimers();
    }
  });
});
