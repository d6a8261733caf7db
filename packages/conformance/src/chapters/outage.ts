import assert from "node:assert/strict";
import { createServer, type Server, type Socket } from "node:net";
import type { SessionStore } from "@tenure/core";
import { isStoreError, settled } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import type { Scene } from "../scene.ts";

/** For stores with a backend outside their process. */
export const outage: Chapter = {
  title: "9. Absence is a value, failure is an error: an unreachable backend",
  sentences: {
    "a backend that refuses connections makes every call reject with a StoreError": async (scene) => {
      const { server, port } = await listen(() => {});
      await new Promise((resolve) => server.close(resolve));
      await assertAllReject(scene, port);
    },

    "a backend that accepts and never replies makes every call reject with a StoreError": (scene) =>
      whileSilent((port) => assertAllReject(scene, port)),

    "calls on a backend that never replies do not wait for each other": (scene) =>
      whileSilent(async (port) => {
        const store = await openAt(scene, port);
        const session = scene.id();
        const update = () => store.update(session, { data: "new" });
        const alone = await timeToSettle("update", [update], PATIENCE);
        const end = () => store.revokeUser(scene.user());
        const both = Array.from({ length: 32 }, () => [update, end]).flat();
        const most = 8 * alone + 2000;
        const together = await timeToSettle("update or revokeUser", both, most + PATIENCE);
        assert.ok(
          together < most,
          `32 updates of one session and the ends of 32 users took ${together} ms to reject, and one update ${alone} ms`,
        );
      }),
  },
};

/** Passes `run` the port of a server that accepts connections and never replies. */
async function whileSilent(run: (port: number) => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  const { server, port } = await listen((socket) => {
    sockets.push(socket);
    socket.on("error", () => {}).resume();
  });
  try {
    await run(port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

async function openAt({ unreachable }: Scene, port: number): Promise<SessionStore> {
  assert.ok(unreachable);
  return settled("open", unreachable({ host: "127.0.0.1", port }), PATIENCE);
}

/** Milliseconds. */
async function timeToSettle(
  operation: string,
  calls: readonly (() => Promise<unknown>)[],
  patience: number,
): Promise<number> {
  const began = performance.now();
  await settled(operation, Promise.allSettled(calls.map((call) => call())), patience);
  return performance.now() - began;
}

async function assertAllReject(scene: Scene, port: number): Promise<void> {
  const store = await openAt(scene, port);
  await Promise.all(
    Object.entries(callsOf(store, scene)).map(async ([operation, call]) => {
      const outcome = await settled(operation, outcomeOf(call), PATIENCE);
      assert.ok("error" in outcome, `${operation} resolved although the backend is unreachable`);
      const { error } = outcome;
      assert.ok(isStoreError(error), `${operation} rejected with ${String(error)} instead of a StoreError`);
      assert.equal(error.operation, operation, "a StoreError names its operation");
      // Session frameworks read a code ENOENT as "no such session".
      assert.ok(!("code" in error), `${operation}: the driver's code belongs in the cause`);
    }),
  );
}

async function outcomeOf(call: () => Promise<unknown>): Promise<{ result: unknown } | { error: unknown }> {
  try {
    return { result: await call() };
  } catch (error) {
    return { error };
  }
}

/** Milliseconds. */
const PATIENCE = 20_000;

function callsOf(store: SessionStore, { fresh, id, user }: Scene): Record<string, () => Promise<unknown>> {
  return {
    create: () => store.create(fresh()),
    read: () => store.read(id()),
    update: () => store.update(id(), { data: "new" }),
    revoke: () => store.revoke(id()),
    revokeUser: () => store.revokeUser(user()),
    listUser: () => store.listUser(user()),
    scan: async () => {
      for await (const record of store.scan()) return record;
      return null;
    },
    now: () => store.now(),
  };
}

async function listen(accept: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer(accept);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return { server, port: address.port };
}
