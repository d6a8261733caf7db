import { memoryStore, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { type FastifySessionStore, fastifySessionStore } from "../src/index.ts";
import { SECRET } from "./site.ts";
import { type Version, versions } from "./versions.ts";

describe.each(versions)("on $name, a slow save of a session that was revoked writes nothing", (version) => {
  test("by the tombstone alone, where the bridge that saves never saw the session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const loading = fastifySessionStore(sessions);
    const saving = fastifySessionStore(sessions);
    await saveLate(
      version,
      sessions,
      { ...saving, get: (id, done) => loading.get(id, done) },
      async () => undefined,
    );
    await expect(Array.fromAsync(sessions.all())).resolves.toEqual([]);
  });

  // Takes seconds; identity.test.ts probes every version.
  test.runIf(version === versions.at(-1))(
    "by identity alone, where the tombstone is gone and the process has met too many sessions since",
    { timeout: 300_000 },
    async () => {
      let now = Date.now();
      const sessions = new Sessions({ store: memoryStore({ clock: () => now, tombstoneMinimum: 1 }) });
      const store = fastifySessionStore(sessions);
      const others: string[] = [];
      await saveLate(version, sessions, store, async () => {
        now += 24 * 3600_000;
        // One more than a bridge remembers.
        for (let count = 0; count <= 50_000; count += 1) {
          const { token } = await sessions.create({});
          others.push(token);
          await new Promise((resolve) => {
            store.get(token, resolve);
          });
        }
      });
      for (const token of others) await sessions.revoke(token);
      await expect(Array.fromAsync(sessions.all())).resolves.toEqual([]);
    },
  );
});

/** @param meanwhile what happens between the revocation and the save */
async function saveLate(
  { fastify, cookie, session }: Version,
  sessions: Sessions,
  store: FastifySessionStore,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const app = fastify();
  await app.register(cookie);
  await app.register(session, {
    store,
    idGenerator: store.idGenerator,
    secret: SECRET,
    cookie: { secure: false },
  });
  app.get("/", async (request) => {
    await sessions.revoke(request.session.sessionId);
    await meanwhile();
    Object.assign(request.session, { draft: "late" });
    return {};
  });
  const { token } = await sessions.create({ userId: "ada" }, { userId: "ada" });
  const signer = new cookie.Signer(SECRET);
  const answer = await app.inject({ url: "/", cookies: { sessionId: signer.sign(token) } });
  await app.close();
  expect(answer.statusCode).toBe(200);
}
