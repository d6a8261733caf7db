import { memoryStore, newToken, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type KoaSessionStore, koaSessionStore } from "../src/index.ts";
import { holderFor, storeOn } from "../src/store.ts";
import { serve } from "./site.ts";
import { type Version, versions } from "./versions.ts";

describe.each(versions)("on $name, a slow save of a session that was revoked writes nothing", (version) => {
  test("by the tombstone alone, where the bridge that saves never saw the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const loading = koaSessionStore(sessions);
    const store = { ...koaSessionStore(sessions), get: loading.get.bind(loading) };
    await expect(saveLate(version, sessions, store)).resolves.toEqual({ status: 200, alive: [] });
  });

  test("by what the request loaded alone, where the tombstone is gone and the bridge has met too many sessions since", async () => {
    let now = Date.now();
    const sessions = new Sessions({ store: memoryStore({ clock: () => now, tombstoneMinimum: 1 }) });
    const holder = holderFor(sessions, {}, 8);
    const late = saveLate(version, sessions, storeOn(sessions, holder, {}), async (token) => {
      now += 24 * 3600_000;
      for (let count = 0; count < 8; count += 1) await holder.revoke(newToken());
      expect(holder.isKnown(token)).toBe(false);
    });
    await expect(late).resolves.toEqual({ status: 200, alive: [] });
  });

  test("and with neither it comes back: the two tests above can fail", async () => {
    let now = Date.now();
    const sessions = new Sessions({ store: memoryStore({ clock: () => now, tombstoneMinimum: 1 }) });
    const loading = koaSessionStore(sessions);
    const store = { ...koaSessionStore(sessions), get: loading.get.bind(loading) };
    const late = saveLate(version, sessions, store, async () => {
      now += 24 * 3600_000;
    });
    await expect(late).resolves.toMatchObject({ status: 200, alive: [{ data: { draft: "late" } }] });
  });
});

/** @param meanwhile what happens between the revocation and the save */
async function saveLate(
  version: Version,
  sessions: Sessions,
  store: KoaSessionStore,
  meanwhile: (token: string) => Promise<void> = async () => undefined,
): Promise<{ status: number; alive: unknown[] }> {
  const { token } = await sessions.create({ userId: "ada" }, { userId: "ada" });
  await using site = await serve(
    version,
    {
      "/": async (ctx) => {
        await sessions.revoke(token);
        await meanwhile(token);
        ctx.session.draft = "late";
      },
    },
    { plugin: { store, genid: store.genid, signed: false } },
  );
  const browser = site.browser();
  browser.cookies.set("koa.sess", token);
  const { status } = await browser.get("/");
  return { status, alive: await Array.fromAsync(sessions.all()) };
}
