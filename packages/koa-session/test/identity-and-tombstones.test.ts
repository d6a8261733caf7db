import { memoryStore, type SessionStore } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type KoaSessionStore, koaSessionStore } from "../src/index.ts";
import { serve } from "./site.ts";
import { type Version, versions } from "./versions.ts";

describe.each(versions)("on $name, a slow save of a session that was revoked writes nothing", (version) => {
  test("by the tombstone alone, where the bridge that saves never saw the session", async () => {
    const late = saveLate(version, memoryStore(), (store, other) => ({
      ...store,
      get: other.get.bind(other),
    }));
    await expect(late).resolves.toEqual({ status: 200, alive: null });
  });

  // Takes seconds.
  test.runIf(version === versions.at(-1))(
    "by what the request loaded alone, where the tombstone is gone and the process has met too many sessions since",
    { timeout: 300_000 },
    async () => {
      let now = Date.now();
      const backend = memoryStore({ clock: () => now, tombstoneMinimum: 1 });
      const late = saveLate(
        version,
        backend,
        (store) => store,
        async (store) => {
          now += 24 * 3600_000;
          // One more than a bridge remembers.
          for (let count = 0; count <= 50_000; count += 1) {
            await store.set(`somebody else ${count}`.padEnd(43, "x"), {}, "session");
          }
        },
      );
      await expect(late).resolves.toEqual({ status: 200, alive: null });
    },
  );
});

/** @param meanwhile what happens between the revocation and the save */
async function saveLate(
  version: Version,
  backend: SessionStore,
  storeOf: (store: KoaSessionStore, other: KoaSessionStore) => KoaSessionStore,
  meanwhile: (store: KoaSessionStore) => Promise<void> = async () => undefined,
): Promise<{ status: number; alive: unknown }> {
  let store: KoaSessionStore | undefined;
  await using site = await serve(
    version,
    {
      "/": async (ctx) => {
        await site.sessions.revoke(ctx.session.externalKey);
        if (store) await meanwhile(store);
        ctx.session.draft = "late";
      },
    },
    {
      store: backend,
      plugin(made, sessions) {
        const given = storeOf(made, koaSessionStore(sessions));
        store = given;
        return { store: given, genid: made.genid, signed: false };
      },
    },
  );
  const { token } = await site.sessions.create({ userId: "ada" }, { userId: "ada" });
  const browser = site.browser();
  browser.cookies.set("koa.sess", token);
  const { status } = await browser.get("/");
  return { status, alive: await site.sessions.get(token) };
}
