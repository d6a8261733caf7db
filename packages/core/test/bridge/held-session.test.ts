import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { memoryStore, newToken, Sessions, type SessionsOptions, type SessionStore } from "@tenure/core";
import { type HolderOptions, sessionHolder } from "@tenure/core/bridge";
import { expect, onTestFinished, test, vi } from "vitest";
import { counted } from "../counted.ts";

type Data = Record<string, unknown>;

function start(policy: Partial<SessionsOptions> = {}, options: HolderOptions<Data> = {}) {
  let now = 1_000_000;
  const { store, calls } = counted(memoryStore({ clock: () => now }));
  const sessions = new Sessions<Data>({ store, idleTimeout: "30m", lifetime: "12h", ...policy });
  const holder = sessionHolder(sessions, options, ({ data }) => data);
  /** As a bridge does at the start of a request. */
  const load = async (token: string) => {
    const session = await holder.load(token);
    return holder.loaded(token, session!, session!.data, null);
  };
  return {
    sessions,
    holder,
    load,
    advance: (ms: number) => (now += ms),
    callsButNow: () => calls().filter((call) => call !== "now"),
  };
}

test("the first save of a fresh session creates it, later ones update it", async () => {
  const { holder, sessions, callsButNow } = start();
  const held = holder.fresh(newToken());
  expect(await held.save({ a: 1 }, null)).toBe(true);
  expect(await held.save({ a: 2 }, null)).toBe(true);
  expect(callsButNow()).toEqual(["create", "update"]);
  expect((await sessions.get(held.token))?.data).toEqual({ a: 2 });
});

test("a save that changes nothing neither reads nor writes within touchEvery, whatever the order of its keys", async () => {
  const { sessions, load, callsButNow } = start();
  const { token } = await sessions.create({ a: 1, b: { c: 2 } });
  const held = await load(token);
  callsButNow();
  expect(await held.save({ a: 1, b: { c: 2 } }, null)).toBe(true);
  expect(await held.save({ b: { c: 2 }, a: 1 }, null)).toBe(true);
  expect(await held.touch(null)).toBe(true);
  expect(callsButNow()).toEqual([]);
});

test("a codec that encodes the same value differently each time makes no change of what is unchanged", async () => {
  let salt = 0;
  const codec = {
    encode: (data: object) => JSON.stringify([(salt += 1), data]),
    decode: (text: string) => (JSON.parse(text) as [number, object])[1],
  };
  const { sessions, holder, load, callsButNow } = start({ codec });
  const { token, session } = await sessions.create({ a: 1, b: { c: 2 } });
  const unseen = holder.loaded(token, (await holder.load(token))!, undefined, null);
  const copy = holder.known(token, { a: 1, b: { c: 2 } }, null);
  for (const held of [await load(token), unseen, copy]) {
    expect(await held.save({ b: { c: 2 }, a: 1 }, null)).toBe(true);
    expect(await held.touch(null, { a: 1, b: { c: 2 } })).toBe(true);
  }
  // Each was loaded once.
  expect(callsButNow()).toEqual(["create", "read", "read", "read"]);
  const [mine, theirs] = [await load(token), await load(token)];
  await theirs.save({ a: 1, b: { c: 3 } }, null);
  await mine.save({ a: 2, b: { c: 2 } }, null);
  expect((await sessions.get(token))?.data).toEqual({ a: 2, b: { c: 3 } });
  await sessions.revoke(token);
  const dropped = heard("late-save-dropped");
  await mine.save({ a: 2, b: { c: 2 } }, null);
  expect(dropped).toEqual([]);
  await mine.save({ a: 3, b: { c: 2 } }, null);
  expect(dropped).toMatchObject([{ id: session.id }]);
});

test("requests side by side touch once, and one that comes when the next touch is due touches again", async () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const { sessions, load, advance, callsButNow } = start({ touchEvery: "1m" });
  const { token } = await sessions.create({ a: 1 });
  for (let round = 1; round <= 2; round += 1) {
    advance(61_000);
    vi.advanceTimersByTime(61_000);
    const held = await Promise.all(Array.from({ length: 20 }, () => load(token)));
    callsButNow();
    expect(await Promise.all(held.map((one) => one.touch(null)))).not.toContain(false);
    expect(callsButNow()).toEqual(["update"]);
    expect(await Promise.all(held.map((one) => one.save({ a: 1 }, null)))).not.toContain(false);
    expect(callsButNow()).toEqual([]);
  }
});

test("a second save deletes nobody's key, and a deletion is this request's own", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1, b: 1 });
  const [mine, theirs] = [await load(token), await load(token)];
  await theirs.save({ a: 1, b: 1, theirs: 1 }, null);
  await mine.save({ a: 1, b: 1, mine: 1 }, null);
  await mine.save({ b: 1, mine: 2 }, null);
  expect((await sessions.get(token))?.data).toEqual({ b: 1, mine: 2, theirs: 1 });
});

test("a second save doesn't repeat the first one's change over what others made of it since", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({});
  const mine = await load(token);
  await mine.save({ a: "mine" }, null);
  await (await load(token)).save({ a: "theirs" }, null);
  await mine.save({ a: "mine", b: "mine" }, null);
  expect((await sessions.get(token))?.data).toEqual({ a: "theirs", b: "mine" });
});

test("saves of one session are written in order, also where the store is slow at first", async () => {
  const backend = memoryStore();
  let delay = 20;
  const slowAtFirst: SessionStore = {
    ...backend,
    async update(id, changes) {
      for (let left = (delay -= 10); left > 0; left -= 1)
        await new Promise((resolve) => setImmediate(resolve));
      return backend.update(id, changes);
    },
  };
  const sessions = new Sessions({ store: slowAtFirst });
  const holder = sessionHolder(sessions, {}, ({ data }) => data);
  const held = holder.fresh(newToken());
  await held.save({ n: 0 }, null);
  await Promise.all([held.save({ n: 1 }, null), held.save({ n: 2 }, null)]);
  expect((await sessions.get(held.token))?.data).toEqual({ n: 2 });
});

test("saves that are not waited for end with the last one, each as it was when it was called", async () => {
  const { sessions, holder } = start();
  const held = holder.fresh(newToken());
  const data: Data = {};
  const saves = [1, 2, 3].map((n) => {
    data["n"] = n;
    return held.save(data, null);
  });
  data["n"] = 4;
  expect(await Promise.all(saves)).toEqual([true, true, true]);
  expect((await sessions.get(held.token))?.data).toEqual({ n: 3 });
});

test.for([
  { name: "revoked", end: (to: ReturnType<typeof start>, token: string) => to.sessions.revoke(token) },
  { name: "idle for too long", end: async (to: ReturnType<typeof start>) => to.advance(30 * 60_000) },
])("a session that was $name is dead for all that hold it, for ever", async ({ end }) => {
  const to = start();
  const { token } = await to.sessions.create({ a: 1 });
  const [loaded, copy] = [await to.load(token), to.holder.known(token, { a: 1 }, null)];
  await end(to, token);
  const byHand = to.holder.fresh(token);
  for (const held of [loaded, copy, byHand]) {
    expect(await held.save({ a: 2 }, null)).toBe(false);
    expect(await held.save({ a: 3 }, null)).toBe(false);
    expect(await held.touch(60_000)).toBe(false);
    expect(await held.rotate()).toBeNull();
  }
  expect(await to.sessions.get(token)).toBeNull();
});

test("a session that was ended before it was stored is never created, and leaves no tombstone", async () => {
  const { holder, callsButNow } = start();
  const token = newToken();
  holder.minted(token);
  const held = holder.fresh(token);
  expect(await holder.revoke(token)).toBe(false);
  expect(await held.save({ a: 1 }, null)).toBe(false);
  // Looks whether it lives, and finds nothing.
  expect(callsButNow()).toEqual(["read"]);
});

test("a rotation carries on what the request saw, and the token before it is dead", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1 });
  const held = await load(token);
  await (await load(token)).save({ a: 1, theirs: 1 }, null);
  const rotated = await held.rotate();
  expect(rotated).toMatchObject({ session: { data: { a: 1, theirs: 1 } } });
  if (rotated === null || rotated === "new") throw new Error("not rotated");
  expect(await rotated.held.save({ a: 2 }, null)).toBe(true);
  expect((await sessions.get(rotated.held.token))?.data).toEqual({ a: 2, theirs: 1 });
  expect(await held.save({ a: 3 }, null)).toBe(false);
  expect(await sessions.get(token)).toBeNull();
});

test("a rotation waits for the save under way, so that its change is carried on", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1 });
  const held = await load(token);
  const saving = held.save({ a: 2 }, null);
  const rotated = await held.rotate();
  expect(await saving).toBe(true);
  expect(rotated).toMatchObject({ session: { data: { a: 2 } } });
});

test("a maxAge of 0 ends a session that was just made without a tombstone, and one that may be stored with one", async () => {
  const { sessions, holder, callsButNow } = start();
  const made = newToken();
  holder.minted(made);
  expect(await holder.fresh(made).save({ a: 1 }, 0)).toBe(false);
  expect(callsButNow()).toEqual([]);
  const { token } = await sessions.create({ a: 1 });
  expect(await holder.fresh(token).save({ a: 2 }, 0)).toBe(false);
  expect(await sessions.get(token)).toBeNull();
});

test("what is stored by the same request is ended by a maxAge of 0", async () => {
  const { sessions, holder } = start();
  const token = newToken();
  holder.minted(token);
  const held = holder.fresh(token);
  await held.save({ a: 1 }, null);
  expect(await held.save({ a: 2 }, 0)).toBe(false);
  expect(await sessions.get(token)).toBeNull();
});

test("each save that comes too late is told, however the session is held; one that changes nothing, and a touch, are not", async () => {
  const { sessions, holder, load } = start();
  const { token, session } = await sessions.create({ a: 1 });
  const [loaded, copy] = [await load(token), holder.known(token, { a: 1 }, null)];
  const unseen = holder.loaded(token, (await holder.load(token))!, undefined, null);
  const replacing = holder.fresh(token);
  await sessions.revoke(token);
  const dropped = heard("late-save-dropped");
  for (const held of [loaded, copy, unseen, replacing]) {
    dropped.length = 0;
    await held.touch(60_000);
    expect(dropped).toEqual([]);
    await held.save({ a: 2 }, null);
    await held.save({ a: 2 }, null);
    expect(dropped).toMatchObject([{ id: session.id }, { id: session.id }]);
    if (held === replacing) continue;
    await held.save({ a: 1 }, null);
    expect(dropped).toHaveLength(2);
  }
});

test("a touch that fails says so, and is told", async () => {
  const backend = memoryStore();
  let isDown = false;
  const sessions = new Sessions({
    store: {
      ...backend,
      update: async (id, changes) =>
        isDown ? Promise.reject(new Error("down")) : backend.update(id, changes),
    },
  });
  const holder = sessionHolder(sessions, {}, ({ data }) => data);
  const { token } = await sessions.create({ a: 1 });
  const held = holder.loaded(token, (await holder.load(token))!, { a: 1 }, null);
  const failed = heard("touch-failed");
  isDown = true;
  expect(await held.touch(60_000, { a: 2 })).toBe("failed");
  expect(await held.touch(60_000)).toBe("failed");
  expect(failed).toHaveLength(2);
  isDown = false;
  expect(await held.touch(60_000, { a: 2 })).toBe(true);
  expect(await sessions.get(token)).toMatchObject({ data: { a: 2 }, idle: 60_000 });
});

test("a session that is not stored yet goes on under the token it has", async () => {
  const { holder, callsButNow } = start();
  const held = holder.fresh(newToken());
  expect(held.userId).toBeNull();
  expect(await held.rotate()).toBe("new");
  expect(callsButNow()).toEqual([]);
  expect(await held.save({ userId: 7 }, null)).toBe(true);
  expect(held.userId).toBe("7");
});

test("the user changes only where the request changed it", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({});
  const [login, slow] = [await load(token), await load(token)];
  await login.save({ userId: "ada" }, null);
  await slow.save({ a: 1 }, null);
  expect(await sessions.listForUser("ada")).toHaveLength(1);
  await (await load(token)).save({ a: 1 }, null);
  expect(await sessions.listForUser("ada")).toHaveLength(0);
});

test("the option userId of Sessions counts where the bridge is given none, and else the bridge's", async () => {
  const byAccount = ({ account }: Data): string => String(account);
  const policy = start({ userId: byAccount });
  await policy.holder.fresh(newToken()).save({ account: "ada", userId: "eve" }, null);
  expect(await policy.sessions.listForUser("ada")).toHaveLength(1);
  const own = start({ userId: byAccount }, { userId: ({ userId }) => userId as string });
  await own.holder.fresh(newToken()).save({ account: "ada", userId: "eve" }, null);
  expect(await own.sessions.listForUser("eve")).toHaveLength(1);
});

test("a touch keeps a changed maxAge at once, though no touch is due, and one of 0 ends the session", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1 });
  const held = await load(token);
  expect(await held.touch(60_000)).toBe(true);
  expect((await sessions.get(token))?.idle).toBe(60_000);
  expect(held.maxAge).toBe(60_000);
  expect(await held.touch(0)).toBe(false);
  expect(await sessions.get(token)).toBeNull();
  expect(await held.touch(60_000)).toBe(false);
});

test("a touch that meets a save is answered after it", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1 });
  const held = await load(token);
  await sessions.revoke(token);
  expect(await Promise.all([held.save({ a: 2 }, null), held.touch(null)])).toEqual([false, false]);
});

test("what the application does to the data it was given is a change, inside of a value too", async () => {
  const { sessions, holder } = start();
  const { token } = await sessions.create({ cart: { items: [1] }, gone: { really: true } });
  const session = (await holder.load(token))!;
  const held = holder.loaded(token, session, undefined, null);
  (session.data["cart"] as { items: number[] }).items.push(2);
  delete session.data["gone"];
  await held.save(session.data, null);
  expect((await sessions.get(token))?.data).toEqual({ cart: { items: [1, 2] } });
});

test("a changed maxAge is kept with the save, and one of 0 ends the session", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({ a: 1 });
  const held = await load(token);
  await held.save({ a: 1 }, 60_000);
  expect((await sessions.get(token))?.idle).toBe(60_000);
  await held.save({ a: 2 }, null);
  expect((await sessions.get(token))?.idle).toBe(30 * 60_000);
  expect(await held.save({ a: 3 }, 0)).toBe(false);
  expect(await sessions.get(token)).toBeNull();
});

test("a maxAge that drifts is no change until the drift adds up to one", async () => {
  const { sessions, load } = start();
  const { token } = await sessions.create({});
  const held = await load(token);
  const idleAfter = async (maxAge: number): Promise<number | undefined> => {
    await held.save({ at: maxAge }, maxAge);
    return (await sessions.get(token))?.idle;
  };
  expect(await idleAfter(60_000)).toBe(60_000);
  expect(await idleAfter(59_960)).toBe(60_000);
  expect(await idleAfter(59_920)).toBe(59_920);
});

test("how many ids are remembered is up to the holder's maker", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const holder = sessionHolder(sessions, {}, ({ data }) => data, 8);
  const tokens = Array.from({ length: 9 }, () => newToken());
  for (const token of tokens) await holder.revoke(token);
  expect(tokens.map((token) => holder.isKnown(token))).toEqual([false, ...tokens.slice(1).map(() => true)]);
});

test.for([{ userId: "userId" }, { userId: {} }, { maxAgeMayLengthen: "yes" }, { maxAgeMayLengthen: 1 }])(
  "options of another type are refused: %o",
  (options) => {
    expect(() => start({ mayLengthen: true }, options as never)).toThrow(
      new RegExp(`^${Object.keys(options)[0]} must be `),
    );
    expect(() => start({ mayLengthen: true }, options as never)).toThrow(TypeError);
  },
);

test("maxAgeMayLengthen without mayLengthen is refused", () => {
  expect(() => start({}, { maxAgeMayLengthen: true })).toThrow(/mayLengthen: true/);
});

function heard(name: string): unknown[] {
  const events: unknown[] = [];
  const listen = (event: unknown): void => void events.push(event);
  subscribe(`tenure:${name}`, listen);
  onTestFinished(() => void unsubscribe(`tenure:${name}`, listen));
  return events;
}
