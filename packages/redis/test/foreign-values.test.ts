import { type SessionRecord, type SessionStore, StoreError } from "@tenure/core";
import { server } from "@tenure/servers";
import { Redis } from "ioredis";
import { afterAll, beforeEach, expect, test } from "vitest";
import { redisStore } from "../src/index.ts";
import { HEADER, POSITIONS } from "../src/layout.ts";
import { Clients } from "./clients.ts";
import { newId, newSession } from "./sessions.ts";

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

  test("in place of a session, or a damaged session, makes only the calls about that session reject", async () => {
    const [good, damaged, other] = [await stored(), await stored(), await stored()];
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
    const ids = [await stored(userId), await stored(userId), await stored(userId)];
    await client.setrange(`${prefix}s:${ids[1]}`, POSITIONS.userLength[0], "0000003x");
    expect(await outcomes(ids.map((id) => store.update(id, { data: "new" })))).toEqual([
      "updated",
      FOREIGN,
      "updated",
    ]);
    expect(await outcomes([store.revokeUser(userId)])).toEqual([FOREIGN]);
  });

  test("with a mark of negative length makes the calls about that session reject, and does not keep the server busy", async () => {
    const [good, damaged] = [await stored(), await stored()];
    const value = (await client.get(`${prefix}s:${damaged}`))!;
    const marksAt = HEADER + damaged.length + 1;
    const withMark = `${value.slice(0, marksAt)}0000000000001-0000021${value.slice(marksAt)}`;
    await client.set(`${prefix}s:${damaged}`, withMark, "KEEPTTL");
    await client.setrange(`${prefix}s:${damaged}`, POSITIONS.marksLength[0], "00000021");
    const bindings = [good, damaged].map((id) => store.update(id, { userId: "ada" }));
    expect(await outcomes(bindings)).toEqual(["updated", FOREIGN]);
  });

  test("with a user id that cannot be decoded makes only the reads of that session reject, and scan at its end", async () => {
    const [good, damaged, other] = [await stored(), await stored("100%"), await stored()];
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

  test("among a user's sessions does not keep revokeUser from ending the others", async () => {
    const userId = newId();
    const ids = await Promise.all(Array.from({ length: 5 }, () => stored(userId)));
    await damage(ids[2]!);
    await expect(store.revokeUser(userId)).rejects.toThrow(StoreError);
    const left = await Promise.all(ids.toSpliced(2, 1).map((id) => store.read(id)));
    expect(left).toEqual([null, null, null, null]);
  });

  test("makes scan reject only after it has yielded every session", async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => stored()));
    await client.set(`${prefix}s:${newId()}`, "something else");
    const found: SessionRecord[] = [];
    const scanning = (async () => {
      for await (const record of store.scan()) found.push(record);
    })();
    await expect(scanning).rejects.toThrow("did not write there");
    expect(found.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  });

  test("is not reported if the server refuses the command", async () => {
    const id = await stored();
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

  async function stored(userId: string | null = null): Promise<string> {
    const { id } = newSession();
    expect(await store.create(newSession({ id, userId }))).toBe("created");
    return id;
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
