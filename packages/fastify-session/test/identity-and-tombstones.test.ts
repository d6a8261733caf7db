import { memoryStore, newToken, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type FastifySessionStore, fastifySessionStore } from "../src/index.ts";
import { holderFor, storeOn } from "../src/store.ts";
import { SECRET } from "./site.ts";
import { type Version, versions } from "./versions.ts";

describe.each(versions)("on $name, a slow save of a session that was revoked writes nothing", (version) => {
  test("by the tombstone alone, where the bridge that saves never saw the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const alive = saveLate(version, sessions, loadingElsewhere(sessions));
    await expect(alive).resolves.toEqual([]);
  });

  test("by identity alone, where the tombstone is gone and the bridge has met too many sessions since", async () => {
    let now = Date.now();
    const sessions = new Sessions({ store: memoryStore({ clock: () => now, tombstoneMinimum: 1 }) });
    const holder = holderFor(sessions, {}, 8);
    const alive = saveLate(version, sessions, storeOn(holder, {}), async (token) => {
      now += 24 * 3600_000;
      for (let count = 0; count < 8; count += 1) await holder.revoke(newToken());
      expect(holder.isKnown(token)).toBe(false);
    });
    await expect(alive).resolves.toEqual([]);
  });

  test("and with neither it comes back: the two tests above can fail", async () => {
    let now = Date.now();
    const sessions = new Sessions({ store: memoryStore({ clock: () => now, tombstoneMinimum: 1 }) });
    const alive = saveLate(version, sessions, loadingElsewhere(sessions), async () => {
      now += 24 * 3600_000;
    });
    await expect(alive).resolves.toMatchObject([{ data: { draft: "late" } }]);
  });
});

/** A store that doesn't learn what was loaded. */
function loadingElsewhere(sessions: Sessions): FastifySessionStore {
  const elsewhere = fastifySessionStore(sessions);
  return { ...fastifySessionStore(sessions), get: (id, done) => elsewhere.get(id, done) };
}

/**
 * @param meanwhile what happens between the revocation and the save
 * @returns the sessions that are alive after it
 */
async function saveLate(
  { fastify, cookie, session }: Version,
  sessions: Sessions,
  store: FastifySessionStore,
  meanwhile: (token: string) => Promise<void> = async () => undefined,
): Promise<unknown[]> {
  const app = fastify();
  await app.register(cookie);
  await app.register(session, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    cookie: { secure: false },
  });
  const { token } = await sessions.create({ userId: "ada" }, { userId: "ada" });
  app.get("/", async (request) => {
    await sessions.revoke(token);
    await meanwhile(token);
    Object.assign(request.session, { draft: "late" });
    return {};
  });
  const signer = new cookie.Signer(SECRET);
  const answer = await app.inject({ url: "/", cookies: { sessionId: signer.sign(token) } });
  await app.close();
  expect(answer.statusCode).toBe(200);
  return Array.fromAsync(sessions.all());
}
