import { migrate, postgresStore } from "@tenure/postgres";
import { server } from "@tenure/servers";
import { describe, expect, test } from "vitest";
import { decodeText, encodeText } from "../src/text.ts";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const pools = poolsOn(postgres.url);

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

describe("encodeText", () => {
  test("changes only text that PostgreSQL cannot hold, and gives no two texts the same encoding", () => {
    const encoded = awkward.map(encodeText);
    expect(new Set(encoded).size).toBe(awkward.length);
    for (const [index, text] of awkward.entries()) {
      expect(decodeText(encoded[index]!)).toBe(text);
      expect(encoded[index]).not.toContain("\0");
      expect(encoded[index]!.isWellFormed()).toBe(true);
    }
    for (const plain of ["", "😀", "é", "\ufffd", "\\u0000", '{"a":"\\u0001"}'])
      expect(encodeText(plain)).toBe(plain);
  });
});

postgres.describe("postgresStore", () => {
  test("stores any text exactly, alone and in a batch, and keeps all ids and users apart", async () => {
    const store = await pools.store();
    const sessions = awkward.map((text) =>
      newSession({ id: `exact ${text}`, userId: `user ${text}`, data: `"'{${text},null}\\` }),
    );
    expect(await Promise.all(sessions.map((session) => store.create(session)))).toEqual(
      sessions.map(() => "created"),
    );
    for (const { id, userId, data } of sessions) {
      expect(await store.read(id)).toMatchObject({ id, userId, data });
      expect((await store.listUser(userId!)).map((record) => record.id)).toEqual([id]);
    }
    expect(
      await Promise.all(sessions.map(({ id, data }) => store.update(id, { data: data + data }))),
    ).toEqual(sessions.map(() => "updated"));
    for (const { id, data } of sessions)
      expect(await store.read(id)).toMatchObject({ id, data: data + data });
    const scanned = (await Array.fromAsync(store.scan())).map(({ id }) => id);
    expect(scanned).toEqual(expect.arrayContaining(sessions.map(({ id }) => id)));
    for (const { userId } of sessions) expect(await store.revokeUser(userId!)).toBe(1);
  });

  test("stores keys of 2,000 bytes, and refuses longer ones before it writes anything", async () => {
    const store = await pools.store();
    // Random, so that compression cannot make it fit into the index.
    const id = Array.from({ length: 2000 }, () => String.fromCharCode(33 + Math.random() * 90)).join("");
    const userId = id.split("").toReversed().join("");
    expect(await store.create(newSession({ id, userId }))).toBe("created");
    expect(await store.listUser(userId)).toMatchObject([{ id, userId }]);
    const refusal = {
      name: "TypeError",
      message: expect.stringContaining("must not take more than 2000 bytes"),
    };
    for (const long of [`${id}x`, "é".repeat(1001), "x".repeat(1024 * 1024), "\0".repeat(401)]) {
      const session = newSession({ id: "fits", userId: "fits" });
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
      for (const call of calls) await expect(call()).rejects.toMatchObject(refusal);
    }
    expect(await store.read("fits")).toBeNull();
  });

  test("stores ten megabytes of data", async () => {
    const store = await pools.store();
    const data = "😀éxy".repeat(2 * 1024 * 1024) + awkward.join("");
    const session = newSession({ data });
    expect(await store.create(session)).toBe("created");
    expect((await store.read(session.id))?.data === data).toBe(true);
  });

  test("refuses text that the encoding of the database cannot hold, and writes nothing", async () => {
    const admin = pools.open({ max: 1 });
    const database = `latin_${process.pid}`;
    await admin.query(
      `create database ${database} encoding LATIN1 lc_collate 'C' lc_ctype 'C' template template0`,
    );
    const url = new URL(postgres.url);
    url.pathname = `/${database}`;
    const pool = pools.open({ connectionString: url.href });
    await migrate(pool);
    const store = postgresStore(pool);
    const outcomes = await Promise.allSettled([
      store.create(newSession({ id: "é", data: "é" })),
      store.create(newSession({ id: "other", data: "😀" })),
    ]);
    expect(outcomes).toMatchObject([
      { value: "created" },
      {
        reason: {
          name: "StoreError",
          message: expect.stringContaining("use a UTF-8 database") as string,
          cause: { code: "22P05" },
        },
      },
    ]);
    expect(await store.read("é")).toMatchObject({ data: "é" });
    expect(await store.read("other")).toBeNull();
  });
});
