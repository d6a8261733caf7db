import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
import { Bridge, warnOnce } from "@tenure/core/bridge";
import { describe, expect, test } from "vitest";
import { recordCalls } from "../record-calls.ts";

type Data = Record<string, unknown>;

/** A session, and a request to which a cache has shown `data` of it. */
async function shown(stored: Data, data: Data, mayBeChanged = false, store: SessionStore = memoryStore()) {
  const sessions = new Sessions({ store, maxIdleTimeout: "7d", maxLifetime: "7d" });
  const bridge = new Bridge<Data>(sessions, warnOnce());
  const { token } = await sessions.create(stored);
  const request = bridge.requestOfCopy({ token, data, mayBeChanged });
  return { sessions, bridge, token, request };
}

const live = async (sessions: Sessions) =>
  (await Array.fromAsync(sessions.all())).map(({ userId, data }) => ({ userId, data }));

test("calls at once read it once, and a read that failed is made again", async () => {
  const { store, takeCalls } = recordCalls(memoryStore());
  let isDown = true;
  const failing: SessionStore = {
    ...store,
    read: (id) => (isDown ? Promise.reject(new Error("down")) : store.read(id)),
  };
  const { sessions, token, request } = await shown({ a: 1 }, { a: 1 }, false, failing);
  await expect(request.save({ a: 2 }, null)).rejects.toThrow("the store failed");
  expect(request.state).toBe("unread");
  isDown = false;
  takeCalls();
  await Promise.all([request.save({ a: 2 }, null), request.save({ a: 2, b: 1 }, null)]);
  expect(takeCalls()).toEqual(["read", "update", "update"]);
  expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 1 });
});

test("the token that its regenerate is to give, asked for before anything is read, is one of the session", async () => {
  const { sessions, token, request } = await shown({ userId: "ada" }, { userId: "ada" }, true);
  const next = request.nextToken();
  await request.regenerate(next, { userId: "ada" });
  await request.save({ userId: "ada" }, null);
  expect(await sessions.get(next)).toMatchObject({ id: sessions.idOf(token), userId: "ada" });
});

test("a login over a remembered one has the framework's default maxAge", async () => {
  const { sessions, bridge } = await shown({}, {});
  const login = await sessions.logIn(null, "ada", { idle: "7d", lifetime: "7d" });
  const request = bridge.requestOfCopy({ token: login.token!, data: {}, mayBeChanged: false });
  expect(await request.maxAgeOfLogin({}, 7 * 86_400_000)).toBeNull();
});

test("what is changed inside of a value that the copy holds is stored", async () => {
  const data = { cart: [1] };
  const { sessions, token, request } = await shown({ cart: [1] }, data);
  data.cart.push(2);
  await request.save(data, null);
  expect((await sessions.get(token))?.data).toEqual({ cart: [1, 2] });
});

describe.each([false, true])("where the request may have changed the copy: %s", (mayBeChanged) => {
  test.each<[string, (request: Awaited<ReturnType<typeof shown>>["request"], data: Data) => unknown]>([
    ["saves", () => undefined],
    ["rotates", (request) => request.rotate()],
    ["regenerates", (request, data) => request.regenerate(undefined, data)],
  ])("a copy of before a logout logs nobody in by a request that %s and saves", async (_, act) => {
    const copy = { userId: "ada" };
    const { sessions, request } = await shown({ cart: 1 }, copy, mayBeChanged);
    await act(request, copy);
    expect(await request.save({ userId: "ada", late: 1 }, null)).toBe("dead");
    expect(await live(sessions)).toEqual([{ userId: null, data: { cart: 1 } }]);
  });

  test("a visitor logs in, by logIn and by regenerate", async () => {
    for (const way of ["logIn", "regenerate"] as const) {
      const { sessions, request } = await shown({ cart: 1 }, { cart: 1 }, mayBeChanged);
      if (way === "logIn") await request.logIn("ada", { cart: 1 });
      else await request.regenerate(undefined, { cart: 1 });
      expect(await request.save({ userId: "ada" }, null)).toBe("saved");
      expect(await live(sessions)).toMatchObject([{ userId: "ada" }]);
    }
  });

  test("the token of before a rotation logs its user out", async () => {
    const { sessions, bridge, token } = await shown({ userId: "ada" }, {});
    await bridge.request(await bridge.load(token)).rotate();
    const request = bridge.requestOfCopy({ token, data: { userId: "ada" }, mayBeChanged });
    await request.end();
    expect(await live(sessions)).toEqual([]);
  });
});

test("a request that has deleted the user is a logout, though it is not known what the cache has shown", async () => {
  for (const way of ["save", "regenerate"] as const) {
    const { sessions, request } = await shown({ userId: "ada", cart: 1 }, { cart: 1 }, true);
    if (way === "regenerate") await request.regenerate(undefined, { cart: 1 });
    await request.save({ cart: 2 }, null);
    expect(await live(sessions)).toEqual([{ userId: null, data: { cart: 2 } }]);
  }
});
