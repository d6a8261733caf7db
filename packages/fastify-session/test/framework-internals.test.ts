import { describe, expect, test } from "vitest";
import { loadedData } from "../src/data.ts";
import { type FrameworkSession, requestOf } from "../src/framework.ts";
import { SECRET } from "./site.ts";
import { type Version, versions } from "./versions.ts";

describe.each(versions)("on $name", (version) => {
  test("loadedData reports the Session created from it before the application has it, and adds no key", async () => {
    const notices: FrameworkSession[] = [];
    const { seen, keys } = await probe(version, {
      get: (_id, callback) =>
        callback(
          null,
          loadedData({ a: 1 }, (session) => notices.push(session)),
        ),
    });
    expect(notices).toHaveLength(1);
    expect(notices[0]).toBe(seen);
    expect(keys).toEqual(["a", "cookie"]);
  });

  test("a Session keeps its request under a symbol", async () => {
    const { seen, request } = await probe(version, { get: (_id, callback) => callback(null, { a: 1 }) });
    expect(requestOf(seen)).toBe(request);
  });

  test(`regenerate ${version.regenerateDestroys ? "destroys" : "does not destroy"} the old session`, async () => {
    const destroyed: string[] = [];
    const { oldId } = await probe(
      version,
      {
        get: (_id, callback) => callback(null, { a: 1 }),
        destroy(id, callback) {
          destroyed.push(id);
          callback();
        },
      },
      (session) => session.regenerate(),
    );
    expect(destroyed).toEqual(version.regenerateDestroys ? [oldId] : []);
  });

  test("reload of an ended session creates a blank Session under the old id", async () => {
    let gets = 0;
    const { oldId, newId, newKeys } = await probe(
      version,
      { get: (_id, callback) => callback(null, (gets += 1) === 1 ? { a: 1 } : null) },
      (session) => session.reload(),
    );
    expect(newId).toBe(oldId);
    expect(newKeys).toEqual(["cookie"]);
  });

  test(`after reload with a callback, the Session ${version.hasReloadCallback ? "can" : "cannot"} be saved`, async () => {
    let saved: Promise<unknown> | undefined;
    await probe(version, { get: (_id, callback) => callback(null, { a: 1 }) }, async (session, request) => {
      await new Promise<void>((resolve, reject) => {
        session.reload((error) => (error ? reject(error) : resolve()));
      });
      saved = request.session?.save().then(
        () => "saved",
        () => "failed",
      );
      await saved;
      // So that the framework does not save it.
      request.session = null;
    });
    await expect(saved).resolves.toBe(version.hasReloadCallback ? "saved" : "failed");
  });
});

interface ProbeStore {
  get(id: string, callback: (error: unknown, data?: any) => void): void;
  destroy(id: string, callback: () => void): void;
  set(id: string, session: object, callback: () => void): void;
}

interface ProbedSession extends FrameworkSession {
  regenerate(): Promise<void>;
  reload(): Promise<void>;
  reload(callback: (error?: unknown) => void): void;
  save(): Promise<void>;
}

/** Sends one request with a signed cookie to an application on this store. */
async function probe(
  { fastify, cookie, session }: Version,
  store: Partial<ProbeStore>,
  act: (session: ProbedSession, request: { session?: ProbedSession | null }) => Promise<void> = async () =>
    undefined,
) {
  const app = fastify();
  await app.register(cookie);
  await app.register(session, {
    store: {
      destroy: (_id, done) => done(),
      set: (_id, _session, done) => done(),
      get: () => undefined,
      ...store,
    },
    secret: SECRET,
    cookie: { secure: false },
  });
  let found: { seen: ProbedSession; now: ProbedSession | null } | undefined;
  let request: unknown;
  app.get("/", async (req) => {
    request = req;
    const seen = req.session as unknown as ProbedSession;
    const keys = Object.keys(seen).toSorted();
    await act(seen, req);
    found = { seen, now: req.session as unknown as ProbedSession | null };
    return keys;
  });
  const signer = new cookie.Signer(SECRET);
  const response = await app.inject({
    url: "/",
    cookies: { sessionId: signer.sign("the id of a stored session") },
  });
  await app.close();
  expect(response.statusCode).toBe(200);
  if (!found) throw new Error("the route was not reached");
  const { seen, now } = found;
  return {
    seen,
    request,
    keys: response.json<string[]>(),
    oldId: seen.sessionId,
    newId: now?.sessionId,
    newKeys: Object.keys(now ?? {}),
  };
}
