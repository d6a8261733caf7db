import { memoryStore, Sessions, type SessionStore } from "@tenure/core";
import { Bridge, warnOnce } from "@tenure/core/bridge";
import { describe, expect, test } from "vitest";
import { recordCalls } from "../record-calls.ts";

type Data = Record<string, unknown>;

/** Stores a session, and begins a request that got `data` as its copy from a cache in front of the store. */
async function requestOfCopy(
  stored: Data,
  data: Data,
  mayBeChanged = false,
  store: SessionStore = memoryStore(),
) {
  const sessions = new Sessions({ store, maxIdleTimeout: "7d", maxLifetime: "7d" });
  const bridge = new Bridge<Data>(sessions, warnOnce());
  const { token } = await sessions.create(stored);
  const request = bridge.requestOfCopy({ token, data, mayBeChanged });
  return { sessions, bridge, token, request };
}

const live = async (sessions: Sessions) =>
  (await Array.fromAsync(sessions.all())).map(({ userId, data }) => ({ userId, data }));

test("concurrent calls on a cached copy read the session once, and a failed read is repeated at the next call", async () => {
  const { store, takeCalls } = recordCalls(memoryStore());
  let isDown = true;
  const failing: SessionStore = {
    ...store,
    read: (id) => (isDown ? Promise.reject(new Error("down")) : store.read(id)),
  };
  const { sessions, token, request } = await requestOfCopy({ a: 1 }, { a: 1 }, false, failing);
  await expect(request.save({ a: 2 }, null)).rejects.toThrow("the store failed");
  expect(request.state).toBe("unread");
  isDown = false;
  takeCalls();
  await Promise.all([request.save({ a: 2 }, null), request.save({ a: 2, b: 1 }, null)]);
  expect(takeCalls()).toEqual(["read", "update", "update"]);
  expect((await sessions.get(token))?.data).toEqual({ a: 2, b: 1 });
});

test("nextToken of a cached copy, called before the session is read, returns a token of that session", async () => {
  const { sessions, token, request } = await requestOfCopy({ userId: "ada" }, { userId: "ada" }, true);
  const next = request.nextToken();
  await request.regenerate(next, { userId: "ada" });
  await request.save({ userId: "ada" }, null);
  expect(await sessions.get(next)).toMatchObject({ id: sessions.idOf(token), userId: "ada" });
});

test("a login over a cached copy of a session with its own idle timeout gets the framework's default maxAge", async () => {
  const { sessions, bridge } = await requestOfCopy({}, {});
  const login = await sessions.logIn(null, "ada", { idle: "7d", lifetime: "7d" });
  const request = bridge.requestOfCopy({ token: login.token!, data: {}, mayBeChanged: false });
  expect(await request.maxAgeOfLogin({}, 7 * 86_400_000)).toBeNull();
});

test("a change inside of a value of a cached copy is stored", async () => {
  const data = { cart: [1] };
  const { sessions, token, request } = await requestOfCopy({ cart: [1] }, data);
  data.cart.push(2);
  await request.save(data, null);
  expect((await sessions.get(token))?.data).toEqual({ cart: [1, 2] });
});

describe.each([false, true])("with mayBeChanged: %s,", (mayBeChanged) => {
  test.each<[string, (request: Awaited<ReturnType<typeof requestOfCopy>>["request"], data: Data) => unknown]>(
    [
      ["saves", () => undefined],
      ["rotates and saves", (request) => request.rotate()],
      ["regenerates and saves", (request, data) => request.regenerate(undefined, data)],
    ],
  )("a copy from before a logout logs nobody in through a request that %s", async (_, act) => {
    const copy = { userId: "ada" };
    const { sessions, request } = await requestOfCopy({ cart: 1 }, copy, mayBeChanged);
    await act(request, copy);
    expect(await request.save({ userId: "ada", late: 1 }, null)).toBe("dead");
    expect(await live(sessions)).toEqual([{ userId: null, data: { cart: 1 } }]);
  });

  test("a visitor can log in by logIn and by regenerate", async () => {
    for (const way of ["logIn", "regenerate"] as const) {
      const { sessions, request } = await requestOfCopy({ cart: 1 }, { cart: 1 }, mayBeChanged);
      if (way === "logIn") await request.logIn("ada", { cart: 1 });
      else await request.regenerate(undefined, { cart: 1 });
      expect(await request.save({ userId: "ada" }, null)).toBe("saved");
      expect(await live(sessions)).toMatchObject([{ userId: "ada" }]);
    }
  });

  test("a logout with the token from before a rotation ends the session", async () => {
    const { sessions, bridge, token } = await requestOfCopy({ userId: "ada" }, {});
    await bridge.request(await bridge.load(token)).rotate();
    const request = bridge.requestOfCopy({ token, data: { userId: "ada" }, mayBeChanged });
    await request.end();
    expect(await live(sessions)).toEqual([]);
  });
});

test("a request that may have changed its cached copy and names no user is a logout", async () => {
  for (const way of ["save", "regenerate"] as const) {
    const { sessions, request } = await requestOfCopy({ userId: "ada", cart: 1 }, { cart: 1 }, true);
    if (way === "regenerate") await request.regenerate(undefined, { cart: 1 });
    await request.save({ cart: 2 }, null);
    expect(await live(sessions)).toEqual([{ userId: null, data: { cart: 2 } }]);
  }
});
