import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  memoryStore,
  newToken,
  type SessionEvents,
  type SessionRecord,
  Sessions,
  type SessionStore,
  StoreError,
  type StoreOperation,
} from "@tenure/core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const names: readonly (keyof SessionEvents)[] = [
  "created",
  "logged-in",
  "login-refused",
  "rotated",
  "revoked",
  "unbound",
  "superseded-token-used",
  "unreadable",
  "expired",
  "late-save-dropped",
  "conflict-merged",
  "touch-failed",
  "refused",
  "store-failure",
];
/** The events that the test has published so far. */
let events: (Record<string, unknown> & { event: string })[];
const listen = (message: unknown, channel: string | symbol): void => {
  const event = message as { readonly event: string };
  expect(channel).toBe(`tenure:${event.event}`);
  events.push({ ...event });
};
beforeEach(() => {
  // The store's default clock and this process's own.
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: 1_800_000_000_000 });
  events = [];
  for (const name of names) subscribe(`tenure:${name}`, listen);
});
afterEach(() => {
  vi.useRealTimers();
  for (const name of names) unsubscribe(`tenure:${name}`, listen);
});
/** The events with this name, or all, without their time and outcome. */
const published = (event?: string): Record<string, unknown>[] =>
  events
    .filter((one) => event === undefined || one.event === event)
    .map(({ at: _at, outcome: _outcome, ...rest }) => rest);

describe("events", () => {
  test("name the event, the time in UTC, the session, the user and the outcome (ASVS 16.2.1, 16.2.2)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({}, { userId: "ada" });
    await sessions.createWithToken("weak", {}).catch(() => undefined);
    const about = { at: Date.now(), id: session!.id, userId: "ada", outcome: "success" };
    expect(events).toEqual([
      { event: "created", ...about },
      { event: "logged-in", ...about },
      { ...events[2], event: "refused", at: Date.now(), id: null, userId: null, outcome: "refused" },
    ]);
  });

  test("name who ended a session: the user, an administrator or the policy (ASVS 16.2.1, 16.3.3)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 1 });
    const ids: string[] = [];
    const logIn = async (): Promise<void> => {
      ids.push((await sessions.create({}, { userId: "ada" })).session!.id);
      vi.advanceTimersByTime(10);
    };
    const last = (): string => ids.at(-1)!;
    const endings: [() => Promise<unknown>, string, string | null][] = [
      [() => sessions.revokeById(last(), { userId: "ada", actor: "ada" }), "user", "ada"],
      [() => sessions.revokeById(last(), { actor: "root" }), "administrator", "root"],
      [() => sessions.revokeById(last()), "unknown", null],
      [() => sessions.revokeAllForUser("ada", { actor: "ada" }), "user", "ada"],
      [() => sessions.revokeAllForUser("ada", { actor: 7 }), "administrator", "7"],
      [() => sessions.revokeAllForUser("ada"), "unknown", null],
      [() => sessions.revokeEveryone({ actor: "root" }), "administrator", "root"],
      [() => sessions.revokeEveryone(), "administrator", null],
      [logIn, "policy", null],
    ];
    for (const [end, by, actor] of endings) {
      await logIn();
      events = [];
      await end();
      expect(published("revoked")).toEqual([expect.objectContaining({ userId: "ada", by, actor, count: 1 })]);
    }
    const { token } = await sessions.create({}, { userId: "bob" });
    events = [];
    await sessions.revoke(token!);
    expect(published()).toEqual([expect.objectContaining({ userId: "bob", by: "user", actor: null })]);
  });

  test("are not published for an invalid actor: the call rejects and ends nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session, token } = await sessions.create({}, { userId: "ada" });
    const calls = [
      () => sessions.revokeById(session!.id, { actor: "" }),
      () => sessions.revokeAllForUser("ada", { actor: {} as never }),
      () => sessions.revokeEveryone({ actor: Number.NaN }),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(TypeError);
    expect(published("revoked")).toEqual([]);
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("name no user if a session is ended by its id and its record cannot be read", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store });
    const { session } = await sessions.create({}, { userId: "ada" });
    const broken = { ...store, read: () => Promise.reject(new StoreError("read", "of another id")) };
    expect(await new Sessions({ store: broken }).revokeById(session!.id)).toBe(true);
    expect(published("revoked")).toEqual([
      expect.objectContaining({ id: session!.id, userId: null, count: 1 }),
    ]);
  });

  test("give the reason why a session was revoked (ASVS 16.3.3)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 2 });
    await sessions.create({}, { userId: "ada" });
    vi.advanceTimersByTime(10);
    const second = await sessions.create({}, { userId: "ada" });
    vi.advanceTimersByTime(10);
    const third = await sessions.create({}, { userId: "ada" });
    await sessions.revoke(second.token!);
    await sessions.revoke(second.token!);
    await sessions.revokeById(third.session!.id);
    await sessions.create({}, { userId: "bob" });
    await sessions.revokeAllForUser("bob");
    const eve = await sessions.create({}, { userId: "eve" });
    const mallory = await sessions.logIn(eve.token, "mallory");
    await sessions.save(mallory.session!, { userId: "eve" });
    expect(published("revoked").map(({ why, userId, count }) => [why, userId, count])).toEqual([
      ["cap", "ada", 1],
      ["logout", "ada", 1],
      ["id", "ada", 1],
      ["user", "bob", 1],
      ["login", "eve", 1],
      ["user-changed", "mallory", 1],
    ]);
    await sessions.create({}, { userId: "eve" });
    await sessions.revokeEveryone();
    expect(published("revoked").at(-1)).toMatchObject({ why: "everyone", userId: "eve" });
  });

  test("report a login that was refused, and that its session was ended (ASVS 16.3.1)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    events = [];
    await sessions.logIn(token, "ada", { since });
    expect(published()).toEqual([
      { event: "login-refused", id: session.id, userId: "ada", why: "logged-out-meanwhile" },
      { event: "revoked", id: session.id, userId: null, why: "fenced", by: "policy", actor: null, count: 1 },
    ]);
  });

  test("report a refused create for a user as a refused login (ASVS 16.3.1)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxPerUser: 1 });
    const since = await sessions.since();
    await sessions.revokeAllForUser("ada");
    await sessions.create({}, { userId: "ada", since });
    expect(published().at(-1)).toEqual({
      event: "login-refused",
      id: null,
      userId: "ada",
      why: "logged-out-meanwhile",
    });
  });

  test("report a save that is dropped after a conflict as dropped, not as merged", async () => {
    const store = memoryStore();
    const [sessions, otherProcess] = [0, 1].map(() => new Sessions({ store })) as [Sessions, Sessions];
    const { token } = await sessions.create({ a: 1 });
    const seen = (await otherProcess.get(token))!;
    await sessions.rotate(token);
    events = [];
    await otherProcess.save(seen, { a: 2 });
    expect(published().map(({ event }) => event)).toEqual(["late-save-dropped"]);
  });

  test("report a merge across processes, and a save and a touch of an expired session", async () => {
    const store = memoryStore();
    const [sessions, otherProcess] = [0, 1].map(() => new Sessions({ store, idleTimeout: 60_000 })) as [
      Sessions,
      Sessions,
    ];
    const { token, session } = await sessions.create({ a: 1 });
    const about = { id: session.id, userId: null };
    const other = (await otherProcess.get(token))!;
    await sessions.save(session, { a: 2 });
    await otherProcess.save(other, { a: 1, b: 2 });
    vi.advanceTimersByTime(60_000);
    await sessions.save(session, { a: 3 });
    await sessions.touch(session);
    expect(published()).toEqual([
      { event: "created", ...about },
      { event: "conflict-merged", ...about },
      { event: "late-save-dropped", ...about },
      { event: "expired", ...about },
    ]);
  });

  test("report a late save of a session that was revoked", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    await sessions.revoke(token);
    await sessions.save(session, { a: 1 });
    expect(published().at(-1)).toEqual({ event: "late-save-dropped", id: session.id, userId: null });
  });

  test("report a rotation once", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({});
    await sessions.rotate(token);
    expect(published().slice(1)).toEqual([{ event: "rotated", id: session.id, userId: null }]);
  });

  test("report a save that removes the session's user", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { session } = await sessions.create({ userId: "ada" });
    await sessions.save(session, { userId: "" });
    expect(published().at(-1)).toEqual({ event: "unbound", id: session.id, userId: "ada" });
  });

  test("report the use of a token that was replaced more than 30 seconds ago, because it may be stolen (ASVS 16.3.3, NIST 5.3)", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const { token, session } = await sessions.create({ userId: "ada" });
    await sessions.rotate(token);
    events = [];
    vi.advanceTimersByTime(29_000);
    await sessions.get(token);
    expect(published()).toEqual([]);
    vi.advanceTimersByTime(2000);
    await sessions.get(token);
    expect(published()).toEqual([{ event: "superseded-token-used", id: session.id, userId: "ada" }]);
    await sessions.rotate(token);
    expect(published().at(-1)).toEqual({ event: "superseded-token-used", id: session.id, userId: "ada" });
    expect(published()).toHaveLength(2);
  });

  test("report nothing if nothing was revoked, except log out everywhere, which sets a fence", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    await sessions.revoke(newToken());
    await sessions.revokeById("x".repeat(43));
    await sessions.revokeEveryone();
    expect(published()).toEqual([]);
    await sessions.revokeAllForUser("ada");
    expect(published()).toEqual([
      { event: "revoked", id: null, userId: "ada", why: "user", by: "unknown", actor: null, count: 0 },
    ]);
  });

  test("report every refused call with a human-readable reason (ASVS 16.3.3)", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store, idleTimeout: 400 });
    const { session } = await sessions.create({}, { userId: "ada" });
    const refused = { event: "refused", id: null, userId: null };
    const about = { ...refused, id: session!.id, userId: "ada" };
    const refusals: [() => Promise<unknown>, object, string][] = [
      [() => sessions.createWithToken("weak", {}), refused, "too weak"],
      [() => sessions.create([] as never), { ...refused, id: expect.any(String) }, "must be an object"],
      [() => sessions.create({ a: 1n }), { ...refused, id: expect.any(String) }, "could not encode"],
      [() => sessions.save(session!, { a: 1n }), about, "could not encode"],
      [() => sessions.logIn(null, "ada", { idle: -1 }), refused, "idle must be"],
      [() => sessions.logIn(null, "ada", { idle: "8d" }), refused, "maxIdleTimeout"],
      [() => sessions.revokeAllForUser(""), refused, "user id must be"],
      [() => sessions.listForUser(""), refused, "user id must be"],
      [() => sessions.revokeById(session!.id, { userId: "" }), refused, "user id must be"],
      [() => sessions.revokeById(session!.id, { user: "ada" } as never), refused, "Unknown option user"],
      [() => sessions.revokeAllForUser("ada", { except: "x" } as never), refused, "Unknown option except"],
      [() => sessions.revokeEveryone({ by: "root" } as never), refused, "Unknown option by"],
      [() => sessions.logIn(null, "ada", { maxAge: "8d" } as never), refused, "Unknown option maxAge"],
      [() => sessions.create({}, { ttl: 5 } as never), refused, "Unknown option ttl"],
      [() => sessions.get("token", { isUse: false } as never), refused, "Unknown option isUse"],
      [() => sessions.get("token", { touch: "no" } as never), refused, "touch must be"],
      [() => sessions.save(session!, {}, { use: false } as never), refused, "Unknown option use"],
      [() => sessions.save(session!, {}, { touch: "no" } as never), refused, "touch must be"],
      [() => sessions.reencrypt({ abort: 1 } as never), refused, "Unknown option abort"],
      [() => sessions.reencrypt({ onProgress: 5 } as never), refused, "onProgress must be"],
      [() => sessions.reencrypt({ onProgress: null } as never), refused, "onProgress must be"],
      [() => sessions.reencrypt({ signal: true } as never), refused, "signal must be"],
      [() => sessions.reencrypt({ signal: null } as never), refused, "signal must be"],
    ];
    for (const [call, event, why] of refusals) {
      events = [];
      await expect(call()).rejects.toThrow(TypeError);
      expect(published()).toEqual([{ ...event, why: expect.stringContaining(why) }]);
    }
  });

  test("report failures of the store, failed touches and records that cannot be read (ASVS 16.3.4)", async () => {
    const store = memoryStore();
    const failing = { ...store, update: () => Promise.reject(new StoreError("update", "down")) };
    const sessions = new Sessions({ store: failing, idleTimeout: 60_000 });
    const { token, session } = await sessions.create({}, { userId: "ada" });
    vi.advanceTimersByTime(30_000);
    await sessions.get(token);
    const down = new Sessions({ store: failingAt("read", new Error("connect ENOENT")) });
    await expect(down.get(token)).rejects.toThrow("read: the store failed");
    const codec = { encode: JSON.stringify, decode: (): object => JSON.parse("s3cr3t") as object };
    expect(await new Sessions({ store, codec }).get(token)).toBeNull();
    const { id } = session!;
    expect(published()).toEqual([
      { event: "created", id, userId: "ada" },
      { event: "logged-in", id, userId: "ada" },
      { event: "store-failure", id, userId: null, error: expect.any(StoreError) },
      { event: "touch-failed", id, userId: "ada", error: expect.any(StoreError) },
      { event: "store-failure", id, userId: null, error: expect.any(StoreError) },
      { event: "unreadable", id, userId: "ada", keyId: null },
    ]);
  });

  test("never contain a token or session data (ASVS 16.2.5)", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxDataBytes: 100 });
    const { token, session } = await sessions.create({ userId: "ada", secret: "s3cr3t" });
    await sessions.save(session, { secret: "s3cr3t", a: 1 });
    await sessions.save(session, { secret: "s3cr3t", b: 1 });
    await sessions.save(session, { secret: "s3cr3t".repeat(50) }).catch(() => undefined);
    const login = await sessions.logIn(token, "ada");
    await sessions.save(session, { secret: "s3cr3t", c: 1 });
    await sessions.createWithToken("s3cr3t-weak", {}).catch(() => undefined);
    await sessions.revoke(login.token!);
    expect(events.length).toBeGreaterThan(6);
    for (const secret of ["s3cr3t", token.split(".")[1]!, login.token!.split(".")[1]!])
      expect(JSON.stringify(events)).not.toContain(secret);
  });
});

describe("if the store fails,", () => {
  test("every call rejects with a StoreError that has the operation and the cause, but no driver's code (ASVS 16.5.3)", async () => {
    const cause = Object.assign(new Error("connect ENOENT /tmp/redis.sock"), { code: "ENOENT" });
    const calls: [StoreOperation, (sessions: Sessions) => Promise<unknown>][] = [
      ["create", (sessions) => sessions.create({})],
      ["read", (sessions) => sessions.get("x".repeat(43))],
      ["read", (sessions) => sessions.rotate("x".repeat(43))],
      ["revoke", (sessions) => sessions.revoke("x".repeat(43))],
      ["revokeUser", (sessions) => sessions.revokeAllForUser("ada")],
      ["listUser", (sessions) => sessions.listForUser("ada")],
      ["scan", (sessions) => sessions.revokeEveryone()],
    ];
    for (const [operation, call] of calls) {
      const sessions = new Sessions({ store: failingAt(operation, cause) });
      const error: unknown = await call(sessions).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(StoreError);
      expect(error).toMatchObject({ name: "StoreError", operation, cause });
      expect(error).not.toHaveProperty("code");
    }
  });

  test("a TypeError about data or a user id is passed on as a refusal, and any other TypeError is a failure", async () => {
    const tooLong = new TypeError("userId is longer than this backend can index");
    const fetchFailed = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
    const attempts: [StoreOperation, TypeError, (sessions: Sessions) => Promise<unknown>, boolean][] = [
      ["create", tooLong, (sessions) => sessions.create({}), true],
      ["listUser", tooLong, (sessions) => sessions.listForUser("ada"), true],
      ["create", fetchFailed, (sessions) => sessions.create({}), false],
      ["read", new TypeError("id is not a string"), (sessions) => sessions.get("x"), false],
      ["revoke", new TypeError("undefined is not a function"), (sessions) => sessions.revoke("x"), false],
    ];
    for (const [operation, error, call, isRefusal] of attempts) {
      events = [];
      const caught: unknown = await call(new Sessions({ store: failingAt(operation, error) })).catch(
        (thrown: unknown) => thrown,
      );
      if (isRefusal) expect(caught).toBe(error);
      else expect(caught).toMatchObject({ name: "StoreError", operation, cause: error });
      expect(events.map(({ event }) => event)).toEqual([isRefusal ? "refused" : "store-failure"]);
    }
  });
});

function failingAt(operation: StoreOperation, cause: Error): SessionStore {
  // eslint-disable-next-line require-yield
  const scan = async function* (): AsyncIterable<SessionRecord> {
    throw cause;
  };
  return { ...memoryStore(), [operation]: operation === "scan" ? scan : () => Promise.reject(cause) };
}
