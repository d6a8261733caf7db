import { type SessionRecord, type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { HEADER, POSITIONS } from "../src/layout.ts";
import { Clients } from "./clients.ts";
import { createSession, newId, newSession } from "./sessions.ts";

const redis = await server("redis");
const clients = new Clients();
afterAll(() => clients[Symbol.dispose]());

redis.describe("a value that the store did not write", () => {
  let client: Redis;
  let prefix: string;
  let store: SessionStore;
  beforeEach(async () => {
    client = clients.redis(redis.url);
    prefix = `${newId()}:`;
    store = redisStore(client, { prefix });
    await store.now();
  });

  test("in place of a session makes every change of that session reject, and stays unchanged", async () => {
    const [text, hash] = [newId(), newId()];
    await client.set(`${prefix}s:${text}`, '{"a":"cookie"}', "EX", 60);
    await client.hset(`${prefix}s:${hash}`, "a", "b");
    await expect(store.read(text)).rejects.toMatchObject({ name: "StoreError", operation: "read" });
    for (const id of [text, hash]) await expectChangesReject(id);
    await expect(client.get(`${prefix}s:${text}`)).resolves.toBe('{"a":"cookie"}');
    const ttl = await client.ttl(`${prefix}s:${text}`);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(60);
    await expect(client.hgetall(`${prefix}s:${hash}`)).resolves.toEqual({ a: "b" });
  });

  test("makes every call about its key reject if it was copied from another session's key", async () => {
    const [original, copy] = [await createSession(store, { userId: newId() }), newId()];
    await client.copy(`${prefix}s:${original}`, `${prefix}s:${copy}`);
    await expect(store.read(copy)).rejects.toMatchObject({ name: "StoreError", operation: "read" });
    await expectChangesReject(copy);
  });

  test("in place of a user's index makes only the calls about that user reject", async () => {
    const [ada, bob, eve] = ["ada", "bob", "eve"];
    await client.set(`${prefix}u:${bob}`, "something else");
    const users = [ada, bob, eve];
    const logins = users.map((userId) => store.create(newSession({ userId })));
    expect(await outcomes(logins)).toEqual(["created", FOREIGN, "created"]);
    expect(await outcomes(users.map(async (userId) => (await store.listUser(userId)).length))).toEqual([
      1,
      FOREIGN,
      1,
    ]);
    expect(await outcomes(users.map((userId) => store.revokeUser(userId)))).toEqual([1, FOREIGN, 1]);
  });

  test("in place of a session makes only the calls about that session reject, as does a damaged session", async () => {
    const [good, damaged, other] = [
      await createSession(store),
      await createSession(store),
      await createSession(store),
    ];
    await damage(damaged);
    await client.lpush(`${prefix}s:list`, "something else");
    const ids = [good, damaged, "list", other];
    expect(await outcomes(ids.map((id) => store.update(id, { data: "new" })))).toEqual([
      "updated",
      FOREIGN,
      FOREIGN,
      "updated",
    ]);
    expect(await outcomes(ids.map((id) => store.revoke(id)))).toEqual([true, FOREIGN, FOREIGN, true]);
  });

  test("with a length that is not in digits makes only the calls about that session reject", async () => {
    const userId = newId();
    const ids = [
      await createSession(store, { userId }),
      await createSession(store, { userId }),
      await createSession(store, { userId }),
    ];
    await client.setrange(`${prefix}s:${ids[1]}`, POSITIONS.userLength[0], "0000003x");
    expect(await outcomes(ids.map((id) => store.update(id, { data: "new" })))).toEqual([
      "updated",
      FOREIGN,
      "updated",
    ]);
    const reads = ids.map(async (id) => (await store.read(id))?.id);
    expect(await outcomes(reads)).toEqual([ids[0], FOREIGN, ids[2]]);
    expect(await outcomes([store.listUser(userId), store.revokeUser(userId)])).toEqual([FOREIGN, FOREIGN]);
  });

  test("with a mark of negative length makes the calls about that session reject, and does not keep the server busy", async () => {
    const [good, damaged] = [await createSession(store), await createSession(store)];
    const value = (await client.get(`${prefix}s:${damaged}`))!;
    const marksAt = HEADER + damaged.length + 1;
    const withMark = `${value.slice(0, marksAt)}0000000000001-0000021${value.slice(marksAt)}`;
    await client.set(`${prefix}s:${damaged}`, withMark, "KEEPTTL");
    await client.setrange(`${prefix}s:${damaged}`, POSITIONS.marksLength[0], "00000021");
    const bindings = [good, damaged].map((id) => store.update(id, { userId: "ada" }));
    expect(await outcomes(bindings)).toEqual(["updated", FOREIGN]);
  });

  test("with a user id that cannot be decoded makes only the reads of that session reject, and scan at its end", async () => {
    const [good, damaged, other] = [
      await createSession(store),
      await createSession(store, { userId: "100%" }),
      await createSession(store),
    ];
    const value = (await client.get(`${prefix}s:${damaged}`))!;
    await client.set(`${prefix}s:${damaged}`, value.replace("100%25", "100%zz"), "KEEPTTL");
    const reads = [good, damaged, other].map(async (id) => (await store.read(id))?.id);
    expect(await outcomes(reads)).toEqual([good, FOREIGN, other]);
    const found: string[] = [];
    const scanning = (async () => {
      for await (const { id } of store.scan()) found.push(id);
    })();
    expect(await outcomes([scanning])).toEqual([FOREIGN]);
    expect(found.toSorted()).toEqual([good, other].toSorted());
  });

  test("under an id that cannot be decoded makes scan reject with a StoreError, after every session", async () => {
    const [good, copied] = [await createSession(store), await createSession(store)];
    const value = (await client.get(`${prefix}s:${copied}`))!;
    await client.set(`${prefix}s:100%zz`, value.replace(copied, "100%zz"), "KEEPTTL");
    const found: string[] = [];
    const scanning = (async () => {
      for await (const { id } of store.scan()) found.push(id);
    })();
    expect(await outcomes([scanning])).toEqual([FOREIGN]);
    expect(found.toSorted()).toEqual([good, copied].toSorted());
  });

  test("among a user's sessions does not keep revokeUser from ending the others", async () => {
    const userId = newId();
    const ids = await Promise.all(Array.from({ length: 5 }, () => createSession(store, { userId })));
    await damage(ids[2]!);
    await expect(store.revokeUser(userId)).rejects.toThrow(StoreError);
    const left = await Promise.all(ids.toSpliced(2, 1).map((id) => store.read(id)));
    expect(left).toEqual([null, null, null, null]);
  });

  test("makes scan reject only after it has yielded every session", async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => createSession(store)));
    await client.set(`${prefix}s:${newId()}`, "something else");
    const found: SessionRecord[] = [];
    const scanning = (async () => {
      for await (const record of store.scan()) found.push(record);
    })();
    await expect(scanning).rejects.toThrow("did not write there");
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  test("is not named as the cause if the server refuses the command", async () => {
    const id = await createSession(store);
    const username = newId();
    const forbidden = ["-set", "-zadd", "-setrange", "-pexpireat"];
    await client.call("ACL", "SETUSER", username, "on", ">secret", "~*", "+@all", ...forbidden);
    const restricted = redisStore(clients.add(new Redis(redis.url, { username, password: "secret" })), {
      prefix,
    });
    // The messages of Redis 8 and of Redis 7.0.
    const refused =
      /failed or refused the command: (?:ERR|NOPERM) (?:ACL failure|The user executing the script)/;
    await expect(restricted.create(newSession())).rejects.toThrow(refused);
    await expect(restricted.create(newSession({ userId: "ada" }))).rejects.toThrow(refused);
    await expect(restricted.update(id, {})).rejects.toThrow(refused);
    await client.call("ACL", "SETUSER", username, "-getrange");
    await expect(restricted.revoke(id)).rejects.toThrow(refused);
    await client.call("ACL", "DELUSER", username);
  });

  async function expectChangesReject(id: string): Promise<void> {
    const calls: readonly [operation: string, () => Promise<unknown>][] = [
      ["update", () => store.update(id, { data: "new" })],
      ["update", () => store.update(id, {})],
      ["revoke", () => store.revoke(id)],
      ["create", () => store.create(newSession({ id }))],
    ];
    for (const [operation, call] of calls) {
      await expect(call()).rejects.toMatchObject({ name: "StoreError", operation });
    }
  }

  /** Damages a value as a manual edit might: the marks begin where the nonces are. */
  async function damage(id: string): Promise<void> {
    await client.setrange(`${prefix}s:${id}`, POSITIONS.marksLength[0], "00000021");
  }
});

const FOREIGN = "foreign";

async function outcomes(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  return Promise.all(
    calls.map((call) =>
      call.catch((error: unknown) => {
        expect(String(error)).toContain("did not write there");
        return FOREIGN;
      }),
    ),
  );
}
