import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { NewSession } from "@tenure/core";
import { server } from "@tenure/servers";
import type { Collection, Document } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection } from "./clients.ts";
import { HOUR, newSession } from "./sessions.ts";

const servers = { mongo: await server("mongo"), "mongo-transactions": await server("mongo-transactions") };

for (const [name, on] of Object.entries(servers)) {
  on.describe(`Documents on ${name}`, { concurrent: true }, () => {
    test("a session is one document, and its _id is the session's id", async () => {
      const { store, collection, session } = await setUp();
      await store.create(session);
      expect(await raw(collection, session.id)).toEqual({
        _id: session.id,
        v: 1,
        userId: session.userId,
        authenticatedAt: expect.any(Date),
        data: "private",
        version: 1,
        createdAt: expect.any(Date),
        touchedAt: expect.any(Date),
        idle: HOUR,
        expiresAt: expect.any(Date),
        endsAt: expect.any(Date),
        nonces: [expect.any(String)],
      });
    });

    test("a user's fence is one document, which identifies the user by a digest and is kept longer than it is needed", async () => {
      const { store, collection, session } = await setUp();
      await store.revokeUser(session.userId);
      const fence = (await collection.findOne({ fence: { $exists: true } }))!;
      expect(fence).toEqual({
        _id: { user: createHash("sha256").update(session.userId).digest("base64url") },
        v: 1,
        fence: expect.any(Date),
        setAt: expect.any(Date),
        endsAt: new Date(fence["fence"].getTime() + 2 * HOUR),
      });
    });

    test("an anonymous session has no userId field, so the user index does not contain it", async () => {
      const { store, collection, session } = await setUp();
      await store.create({ ...session, userId: null });
      expect(await raw(collection, session.id)).not.toHaveProperty("userId");
      await store.update(session.id, { userId: "u" });
      await store.update(session.id, { userId: null });
      expect(await raw(collection, session.id)).not.toHaveProperty("userId");
    });

    test("a session keeps the nonces of its last eight writes, touches included", async () => {
      const { store, collection, session } = await setUp();
      await store.create(session);
      for (let i = 0; i < 9; i += 1) await store.update(session.id, i % 2 === 0 ? {} : { data: "new" });
      expect((await raw(collection, session.id))?.["nonces"]).toHaveLength(8);
    });

    test("a revoked session keeps neither data nor user (ASVS 14.2.7)", async () => {
      const { store, collection, session } = await setUp();
      await store.create(session);
      await store.revoke(session.id);
      const left = await raw(collection, session.id);
      expect(Object.keys(left!).toSorted()).toEqual(["_id", "endedBy", "endsAt", "nonces", "v"]);
    });

    test("a session that revokeUser ended keeps neither data nor user", async () => {
      const { store, collection, session } = await setUp();
      await store.create(session);
      await store.revokeUser(session.userId);
      const left = await raw(collection, session.id);
      expect(left).toEqual({
        _id: session.id,
        v: 1,
        endedBy: expect.any(String),
        endsAt: expect.any(Date),
        nonces: [expect.any(String)],
      });
    });

    test("revokeUser also ends an expired session of the user, and does not count it", async () => {
      const { store, collection, session } = await setUp();
      await store.create({ ...session, idle: 1 });
      await sleep(20);
      expect(await store.revokeUser(session.userId)).toBe(0);
      expect(await raw(collection, session.id)).not.toHaveProperty("data");
    });

    test("a tombstone lasts until the end of the session's lifetime, and at least an hour", async () => {
      for (const [lifetime, expected] of [
        [3 * HOUR, 3 * HOUR],
        [1000, HOUR],
      ] as const) {
        for (const end of ["revoke", "revokeUser"] as const) {
          const { store, collection, session } = await setUp();
          const before = await store.now();
          await store.create({ ...session, lifetime, idle: 500 });
          await (end === "revoke" ? store.revoke(session.id) : store.revokeUser(session.userId));
          const { endsAt } = (await raw(collection, session.id))!;
          expect(endsAt.getTime()).toBeGreaterThanOrEqual(before + expected);
          expect(endsAt.getTime()).toBeLessThanOrEqual((await store.now()) + expected);
        }
      }
    });

    test("a tombstone of an unknown id lasts for the tombstoneMinimum", async () => {
      const { collection, session } = await setUp();
      const store = mongoStore(collection, { tombstoneMinimum: 5 * HOUR });
      const before = await store.now();
      await store.revoke(session.id);
      const { endsAt } = (await raw(collection, session.id))!;
      expect(endsAt.getTime()).toBeGreaterThanOrEqual(before + 5 * HOUR);
      expect(endsAt.getTime()).toBeLessThanOrEqual((await store.now()) + 5 * HOUR);
    });

    test("a session of just under 16 MiB is stored exactly, and a larger one is refused without affecting the updates joined with it", async () => {
      const { store, session } = await setUp();
      const most = "x".repeat(16 * 1024 * 1024 - 8192);
      expect(await store.create({ ...session, data: "small" })).toBe("created");
      const others = await Promise.all(
        [randomUUID(), randomUUID()].map(async (id) => {
          await store.create({ ...session, id });
          return id;
        }),
      );
      const outcomes = await Promise.allSettled([
        store.update(session.id, { data: `${most}${"x".repeat(8192)}` }),
        ...others.map((id) => store.update(id, { data: "new" })),
      ]);
      expect(outcomes[0]).toMatchObject({ status: "rejected", reason: expect.any(TypeError) });
      expect(outcomes.slice(1)).toEqual(others.map(() => ({ status: "fulfilled", value: "updated" })));
      expect(await store.read(session.id)).toMatchObject({ data: "small", version: 1 });
      expect(await store.update(session.id, { data: most })).toBe("updated");
      expect((await store.read(session.id))?.data === most).toBe(true);
    });

    test("an id that fits into the document but not twice into the command is refused before it is sent", async () => {
      const { store, session } = await setUp();
      const id = "x".repeat(9 * 1024 * 1024);
      await expect(store.create({ ...session, id })).rejects.toThrow(TypeError);
    });

    test("an id or user id too long for a document finds nothing, and makes no other call fail", async () => {
      const { store, session } = await setUp();
      await store.create(session);
      const long = "x".repeat(17 * 1024 * 1024);
      expect(await Promise.all([store.read(long), store.read(session.id)])).toMatchObject([
        null,
        { id: session.id },
      ]);
      expect(await Promise.all([store.update(long, {}), store.update(session.id, {})])).toEqual([
        "gone",
        "updated",
      ]);
      expect(await store.update(long, { data: "new" })).toBe("gone");
      expect(await store.revoke(long)).toBe(false);
      expect(await store.listUser(long)).toEqual([]);
      expect(await store.revokeUser(long)).toBe(0);
      expect(await store.revokeUser(session.userId, { except: long })).toBe(1);
    });

    test("calls with long ids do not share a command that cannot hold them all", async () => {
      const { store } = await setUp();
      const ids = ["a", "b", "c"].map((id) => id.repeat(7 * 1024 * 1024));
      expect(await Promise.all(ids.map((id) => store.read(id)))).toEqual([null, null, null]);
      const updates = ids.map((id) => store.update(id, { data: "new" }));
      expect(await Promise.all(updates)).toEqual(["gone", "gone", "gone"]);
    });

    test("revokeUser with a lone surrogate in `except` spares no session", async () => {
      const { store, session } = await setUp();
      // BSON would turn the lone surrogate into the id of this session.
      const id = `${randomUUID()}\ufffd`;
      await store.create({ ...session, id });
      expect(await store.revokeUser(session.userId, { except: id.replace("\ufffd", "\ud800") })).toBe(1);
      expect(await store.read(id)).toBeNull();
    });

    test("revokeUser ends a session whose expiry was removed by hand, and then rejects because that document is not a session", async () => {
      const { store, collection, session } = await setUp();
      const intact = { ...session, id: randomUUID() };
      for (const one of [session, intact]) await store.create(one);
      await collection.updateOne({ _id: session.id as never }, { $unset: { expiresAt: "" } });
      await expect(store.revokeUser(session.userId)).rejects.toThrow("is not a session");
      expect(await store.read(intact.id)).toBeNull();
      expect(await raw(collection, session.id)).not.toHaveProperty("data");
      expect(await store.revokeUser(session.userId)).toBe(0);
    });

    test("create rejects if the user's fence was replaced by hand with something that is not a date", async () => {
      const { store, collection, session } = await setUp();
      await store.revokeUser(session.userId);
      await collection.updateOne({ fence: { $exists: true } }, { $set: { fence: "now" } });
      await expect(store.create(session)).rejects.toThrow("is not a session");
    });

    test("a document that is not a session makes only its own read reject, and no other read of the same command", async () => {
      const { store, collection, session } = await setUp();
      const ids = Array.from({ length: 5 }, () => randomUUID());
      await Promise.all(ids.map((id) => store.create({ ...session, id })));
      const [damaged, unchecked, interrupted, ...intact] = ids as [string, string, string, string, string];
      // The last edit leaves a valid session, like a login that stopped before it compared the fence.
      await edit(collection, damaged, { data: { an: "object" } });
      await edit(collection, unchecked, { userId: 7, unchecked: { by: "a login" } });
      await edit(collection, interrupted, { unchecked: { by: "a login" } });
      const outcomes = await Promise.allSettled(ids.map((id) => store.read(id)));
      for (const outcome of outcomes.slice(0, 2)) {
        expect(outcome).toMatchObject({ reason: { name: "StoreError", operation: "read" } });
      }
      expect(outcomes.slice(2)).toMatchObject(
        [interrupted, ...intact].map((id) => ({ status: "fulfilled", value: { id } })),
      );
      for (const id of [damaged, unchecked]) await expect(store.read(id)).rejects.toThrow("is not a session");
    });

    test("scan yields every live session despite documents that are not sessions, and then rejects", async () => {
      const { store, collection, session } = await setUp();
      // A page has 100 documents.
      const ids = Array.from({ length: 250 }, () => randomUUID()).toSorted();
      await Promise.all(ids.map((id) => store.create({ ...session, id })));
      const damaged = { data: { an: "object" } };
      const unchecked = { userId: 7, unchecked: { by: "a login" } };
      const edits = new Map<number, Document>([
        [10, damaged],
        [20, unchecked],
        [120, damaged],
        [240, unchecked],
      ]);
      for (const [at, values] of edits) await edit(collection, ids[at]!, values);
      const found: string[] = [];
      const scanning = async () => {
        for await (const { id } of store.scan()) found.push(id);
      };
      await expect(scanning()).rejects.toMatchObject({ name: "StoreError", operation: "scan" });
      expect(found).toEqual(ids.filter((_, at) => !edits.has(at)));
    });

    test("a violation of the application's own unique index is not reported as a taken id", async () => {
      const { store, collection, session } = await setUp();
      await collection.createIndex({ data: 1 }, { unique: true });
      expect(await store.create(session)).toBe("created");
      await expect(store.create({ ...session, id: randomUUID() })).rejects.toThrow("a unique index");
      expect(await store.create(session)).toBe("taken");
    });
  });

  async function setUp(): Promise<Setup> {
    const collection = await newCollection(connect(on.url));
    const session = { ...newSession({ data: "private" }), userId: randomUUID() };
    return { collection, store: mongoStore(collection), session };
  }
}

interface Setup {
  readonly collection: Collection;
  readonly store: ReturnType<typeof mongoStore>;
  readonly session: NewSession & { readonly userId: string };
}

async function edit(collection: Collection, id: string, values: Document): Promise<void> {
  await collection.updateOne({ _id: id as never }, { $set: values });
}

function raw(collection: Collection, id: string): Promise<Document | null> {
  return collection.findOne<Document>({ _id: id as never });
}
