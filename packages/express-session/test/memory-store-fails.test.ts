import type { Visitor } from "@tenure/cookie-client";
import session from "express-session";
import { describe, expect, test, vi } from "vitest";
import { application } from "./app.ts";
import { freezeTime } from "./frozen-time.ts";
import { LATE_REQUESTS, race } from "./race.ts";
import { serve } from "./serve.ts";

/**
 * Shows that the tests of the bridge can fail: with express-session's own store, these requests fail them.
 */
describe("with express-session's MemoryStore", () => {
  const reviving = LATE_REQUESTS.filter(({ revivesInMemoryStore }) => revivesInMemoryStore);

  describe.for([
    { name: "a logout", end: (browser: Visitor) => browser.post("/logout") },
    { name: "a regenerate", end: (browser: Visitor) => browser.post("/slow?do=regenerate,login:ada") },
  ])("after $name", ({ end }) => {
    test.for(reviving)("a request that $name brings the session back", async ({ steps, resave = false }) => {
      const origin = await serve(application(new session.MemoryStore(), { resave }).app);
      const { status, seen } = await race({ origin }, steps, end);
      expect(status).toBe(200);
      expect(JSON.parse(seen)).toMatchObject({ userId: "ada" });
    });
  });

  test.for(reviving)(
    "after the session has expired, a request that $name brings it back",
    async ({ steps, resave = false }) => {
      freezeTime();
      const cookie = { maxAge: 30 * 60_000 };
      const origin = await serve(application(new session.MemoryStore(), { resave, cookie }).app);
      const { seen } = await race({ origin }, steps, async (browser) => {
        vi.advanceTimersByTime(cookie.maxAge + 1);
        // Every other request finds the session expired.
        expect((await browser.get("/me")).text).toBe("{}");
      });
      expect(JSON.parse(seen)).toMatchObject({ userId: "ada" });
    },
  );
});
