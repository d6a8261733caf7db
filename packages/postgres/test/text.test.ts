import { postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { describe, expect, test } from "vitest";
import { decodeText, encodeText } from "../src/text.ts";
import { poolsOn } from "./pools.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);
const HOUR = 3_600_000;

/** Text that PostgreSQL cannot hold, its encoding in the table, and text that looks like that encoding. */
const awkward = [
  "\0",
  "a\0b\0",
  "\ud800",
  "\udc00x",
  "\u0001",
  "\u00010000",
  "\\u0000",
  "\u0001\0",
  "😀\ud83d",
  "\ufffd",
  "",
];

describe("text", () => {
  test("is stored as something else only where PostgreSQL can't hold it, and never as what other text is stored as", () => {
    const stored = awkward.map(encodeText);
    expect(new Set(stored).size).toBe(awkward.length);
    for (const [index, text] of awkward.entries()) {
      expect(decodeText(stored[index]!)).toBe(text);
      expect(stored[index]).not.toContain("\0");
      expect(stored[index]!.isWellFormed()).toBe(true);
    }
    for (const plain of ["", "😀", "é", "\ufffd", "\\u0000", '{"a":"\\u0001"}'])
      expect(encodeText(plain)).toBe(plain);
  });
});

postgres.describe("postgresStore", () => {
  test("holds any text exactly, alone and in a batch, and never one id for another", async () => {
    const store = await pools.store();
    const sessions = awkward.map((text) => ({
      id: `exact ${text}`,
      userId: `user ${text}`,
      data: `"'{${text},null}\\`,
      idle: HOUR,
      lifetime: HOUR,
    }));
    expect(await Promise.all(sessions.map((one) => store.create(one)))).toEqual(
      sessions.map(() => "created"),
    );
    for (const { id, userId, data } of sessions) {
      expect(await store.read(id)).toMatchObject({ id, userId, data });
      expect((await store.listUser(userId)).map((record) => record.id)).toEqual([id]);
    }
    expect(
      await Promise.all(sessions.map(({ id, data }) => store.update(id, { data: data + data }))),
    ).toEqual(sessions.map(() => "updated"));
    for (const { id, data } of sessions)
      expect(await store.read(id)).toMatchObject({ id, data: data + data });
    const scanned: string[] = [];
    for await (const { id } of store.scan()) scanned.push(id);
    expect(scanned).toEqual(expect.arrayContaining(sessions.map(({ id }) => id)));
    for (const { userId } of sessions) expect(await store.revokeUser(userId)).toBe(1);
  });

  test("holds keys of 2,000 bytes, and refuses longer ones before anything is written", async () => {
    const store = await pools.store();
    // Random, so that compression cannot make it fit into the index.
    const random = Array.from({ length: 2000 }, () => String.fromCharCode(33 + Math.random() * 90)).join("");
    const [id, userId] = [random.slice(0, 2000), random.split("").toReversed().join("")];
    expect(await store.create({ id, userId, data: "", idle: HOUR, lifetime: HOUR })).toBe("created");
    expect(await store.listUser(userId)).toMatchObject([{ id, userId }]);
    const refused = "must not take more than 2000 bytes";
    for (const long of [`${random}x`, "é".repeat(1001), "x".repeat(1024 * 1024), "\0".repeat(401)]) {
      const session = { id: "fits", userId: "fits", data: "", idle: HOUR, lifetime: HOUR };
      const calls = [
        () => store.create({ ...session, id: long }),
        () => store.create({ ...session, userId: long }),
        () => store.read(long),
        () => store.update(long, {}),
        () => store.update("fits", { userId: long }),
        () => store.revoke(long),
        () => store.revokeUser(long),
        () => store.revokeUser("fits", { except: long }),
        () => store.listUser(long),
      ];
      for (const call of calls) await expect(call()).rejects.toThrow(refused);
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(TypeError);
    }
    expect(await store.read("fits")).toBeNull();
  });

  test("holds ten megabytes of data", async () => {
    const store = await pools.store();
    const data = "😀éxy".repeat(2 * 1024 * 1024) + awkward.join("");
    expect(await store.create({ id: "large", userId: null, data, idle: HOUR, lifetime: HOUR })).toBe(
      "created",
    );
    expect((await store.read("large"))?.data === data).toBe(true);
  });

  test("refuses, in a database that can't hold it, what that can't hold, and nothing is written", async () => {
    const admin = pools.open({ max: 1 });
    const database = `latin_${process.pid}`;
    await admin.query(
      `create database ${database} encoding LATIN1 lc_collate 'C' lc_ctype 'C' template template0`,
    );
    const url = new URL(postgres.url);
    url.pathname = `/${database}`;
    const pool = pools.open({ connectionString: url.href });
    const { migrate } = await import("@tenure/postgres");
    await migrate(pool);
    const store = postgresStore(pool);
    const session = { id: "é", userId: null, data: "é", idle: HOUR, lifetime: HOUR };
    const outcomes = await Promise.allSettled([
      store.create(session),
      store.create({ ...session, id: "other", data: "😀" }),
    ]);
    expect(outcomes).toMatchObject([
      { value: "created" },
      { reason: { name: "StoreError", cause: { code: "22P05" } } },
    ]);
    expect(await store.read("é")).toMatchObject({ data: "é" });
    expect(await store.read("other")).toBeNull();
  });
});
