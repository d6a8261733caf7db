import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { serve } from "./site.ts";
import { versions } from "./versions.ts";

test.each(versions)(
  "with $name, a request for which isUse returns false does not restart the idle timeout, nor do its saves",
  async (version) => {
    await using site = await serve(
      version,
      {
        "/": (ctx) => ctx.session.toJSON(),
        "/login": (ctx, _body, store) => store.logIn(ctx, "ada"),
        "/poll": (ctx) => {
          ctx.session.polls = Number(ctx.session.polls ?? 0) + 1;
        },
      },
      { sessions: { touchEvery: 1 }, bridge: { isUse: (ctx) => ctx.path !== "/poll" } },
    );
    const browser = site.browser();
    await browser.post("/login");
    const [before] = await site.sessions.listForUser("ada");
    await sleep(20);
    for (let poll = 0; poll < 3; poll += 1) await browser.post("/poll");
    await expect(site.sessions.listForUser("ada")).resolves.toMatchObject([
      { data: { polls: 3 }, expiresAt: before?.expiresAt },
    ]);
    await browser.get("/");
    await expect
      .poll(async () => (await site.sessions.listForUser("ada"))[0]?.expiresAt)
      .toBeGreaterThan(before?.expiresAt ?? 0);
  },
);
