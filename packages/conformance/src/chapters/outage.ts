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
        const alone = await timeToSettle([update]);
        const end = () => store.revokeUser(scene.user());
        const together = await timeToSettle(Array.from({ length: 32 }, () => [update, end]).flat());
        assert.ok(
          together < 8 * alone + 2000,
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
  return unreachable({ host: "127.0.0.1", port });
}

/** Milliseconds. */
async function timeToSettle(calls: readonly (() => Promise<unknown>)[]): Promise<number> {
  const began = performance.now();
  await Promise.allSettled(calls.map((call) => call()));
  return performance.now() - began;
}

async function assertAllReject(scene: Scene, port: number): Promise<void> {
  const store = await openAt(scene, port);
  await Promise.all(
    Object.entries(callsOf(store, scene)).map(async ([operation, call]) => {
      const judged = call().then(
        () => assert.fail(`${operation} resolved although the backend is unreachable`),
        (error: unknown) => {
          assert.ok(
            isStoreError(error),
            `${operation} rejected with ${String(error)} instead of a StoreError`,
          );
          assert.equal(error.operation, operation, "a StoreError names its operation");
          // Session frameworks read a code ENOENT as "no such session".
          assert.ok(!("code" in error), `${operation}: the driver's code belongs in the cause`);
        },
      );
      await settled(operation, judged, PATIENCE);
    }),
  );
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
