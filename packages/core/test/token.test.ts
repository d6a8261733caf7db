import { randomBytes, randomUUID } from "node:crypto";
import { memoryStore, newToken, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { rotateLive } from "./rotate-live.ts";

describe("tokens", () => {
  test("consist of an id of 128 random bits and a secret of 256, in base64url (ASVS 7.2.3, 11.5.1, NIST 5.1)", () => {
    const tokens = new Set(Array.from({ length: 1000 }, () => newToken()));
    expect(tokens.size).toBe(1000);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    const bytes = Buffer.concat(
      [...tokens].flatMap((token) => token.split(".").map((part) => Buffer.from(part, "base64url"))),
    );
    expect(bytes).toHaveLength(48_000);
    // Each value is expected 187 times; 100 and 290 are over six standard deviations off.
    for (let value = 0; value < 256; value += 1) {
      const times = bytes.reduce((count, byte) => count + Number(byte === value), 0);
      expect(times).toBeGreaterThan(100);
      expect(times).toBeLessThan(290);
    }
  });

  test("never reach the store, which gets only the id and a digest (ASVS 16.2.5)", async () => {
    const { store, inputs } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({ a: 1 });
    const found = await sessions.get(token);
    await sessions.save(found!, { a: 2 });
    const login = await sessions.logIn(token, "ada");
    const rotated = await rotateLive(sessions, login.token!);
    await sessions.revokeAllForUser("ada", { exceptToken: rotated.token });
    await sessions.revoke(rotated.token);
    expect(inputs()).toContain(session.id);
    for (const one of [token, login.token!, rotated.token]) {
      const [, secret] = one.split(".");
      expect(inputs()).not.toContain(secret);
      expect(JSON.stringify([session, found, login.session])).not.toContain(secret);
    }
  });

  test("with the secret of another session, or with a wrong one, log nobody in and end nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const [one, two] = [await sessions.create({ one: 1 }), await sessions.create({ two: 2 })];
    const [id] = one.token.split(".");
    expect(await sessions.get(`${id}.${two.token.split(".")[1]}`)).toBeNull();
    expect(await sessions.get(newToken(id))).toBeNull();
    expect(await sessions.get(id)).toBeNull();
    expect(await sessions.revoke(newToken(id))).toBe(false);
    expect(await sessions.get(one.token)).not.toBeNull();
  });

  test("log nobody in after their digest was copied to another record", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store });
    const thief = await sessions.create({ mine: true });
    const victim = await sessions.create({ secret: true });
    const [mine, theirs] = [await store.read(thief.session.id), await store.read(victim.session.id)];
    const digestOf = (data: string): string => data.slice(43, 86);
    await store.update(victim.session.id, {
      data: theirs!.data.replace(digestOf(theirs!.data), digestOf(mine!.data)),
    });
    const [, secret] = thief.token.split(".");
    expect(await sessions.get(`${victim.session.id}.${secret}`)).toBeNull();
  });

  test.each([
    ["24 bytes, base64url", randomBytes(24).toString("base64url")],
    ["16 bytes, hex", randomBytes(16).toString("hex")],
    ["16 bytes, hex, that look like a UUID without its dashes", "f81d4fae7dec41d0a76500a0c91e6bf6"],
    ["16 bytes, base64", randomBytes(16).toString("base64")],
    ["40 digits", "1".repeat(40)],
  ])("of a framework are accepted if they have room for 128 random bits: %s", async (_, token) => {
    const sessions = new Sessions({ store: memoryStore() });
    expect(await sessions.createWithToken(token, { a: 1 })).toMatchObject({ data: { a: 1 } });
    expect((await sessions.get(token))?.data).toEqual({ a: 1 });
  });

  test.each([
    ["a UUID", randomUUID()],
    ["15 bytes, hex", randomBytes(15).toString("hex")],
    ["15 bytes, base64url", randomBytes(15).toString("base64url")],
    ["38 digits", "1".repeat(38)],
    ["a word", "admin"],
    ["nothing", ""],
    ["lone surrogates", "\ud800".repeat(40)],
    ["a megabyte", "x".repeat(1024 * 1024)],
  ])(
    "of a framework that are too weak or malformed are refused before anything is written: %s",
    async (_, token) => {
      const { store, takeCalls } = recordCalls(memoryStore());
      const sessions = new Sessions({ store });
      const refused = sessions.createWithToken(token, {});
      await expect(refused).rejects.toThrow(TypeError);
      if (token.length > 3) await expect(refused).rejects.not.toThrow(token);
      expect(takeCalls()).toEqual([]);
    },
  );

  test("of a framework may be weaker if minTokenBits allows it", async () => {
    const sessions = new Sessions({ store: memoryStore(), minTokenBits: 122 });
    expect(await sessions.createWithToken(randomUUID(), {})).not.toBeNull();
  });

  test("that nobody issued log nobody in, and are never adopted (ASVS 7.2.1, NIST 5.1)", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const hostile = [
      newToken(),
      "",
      "\0",
      "\ud800",
      "x".repeat(1024 * 1024),
      "__proto__",
      undefined,
      null,
      0,
      {},
      ["a"],
    ];
    for (const token of hostile) {
      expect(await sessions.get(token as string)).toBeNull();
      expect(await sessions.rotate(token as string)).toBeNull();
      expect(await sessions.revoke(token as string)).toBe(false);
      expect(await sessions.logIn(token as string, "ada")).toMatchObject({
        session: { userId: "ada", data: {} },
      });
    }
    // Each login created a separate session, under a token of Tenure's own.
    expect(await sessions.listForUser("ada")).toHaveLength(hostile.length);
    expect(takeCalls()).not.toContain("scan");
  });

  test("that differ only by a lone surrogate are different tokens", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const token = `${randomBytes(32).toString("hex")}\ufffd`;
    await sessions.createWithToken(token, { mine: true });
    expect(await sessions.get(token.replace("\ufffd", "\ud800"))).toBeNull();
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("of a live or a revoked session create nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const token = randomBytes(32).toString("hex");
    await sessions.createWithToken(token, { first: true });
    expect(await sessions.createWithToken(token, { first: false })).toBeNull();
    expect((await sessions.get(token))?.data).toEqual({ first: true });
    await sessions.revoke(token);
    expect(await sessions.createWithToken(token, {})).toBeNull();
    expect(await sessions.get(token)).toBeNull();
  });

  test("of a framework are replaced by Tenure's own at a login, and the session keeps its id", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const token = randomBytes(32).toString("hex");
    const session = (await sessions.createWithToken(token, { a: 1 }))!;
    const login = await sessions.logIn(token, "ada");
    expect(login.session).toMatchObject({ id: session.id, userId: "ada", data: { a: 1 } });
    expect(login.token).toBe(`${session.id}.${login.token!.split(".")[1]}`);
    expect(await sessions.get(token)).toBeNull();
    expect((await sessions.get(login.token))?.data).toEqual({ a: 1 });
  });
});

test("the id of a live session is not a token: createWithToken refuses it, and get returns null", async () => {
  const sessions = new Sessions({ store: memoryStore() });
  const { session } = await sessions.create({ role: "admin" }, { userId: "ada" });
  await expect(sessions.createWithToken(session!.id, { userId: "ada" })).rejects.toThrow(
    "an id is not a token",
  );
  expect(await sessions.get(session!.id)).toBeNull();
  expect(await sessions.listForUser("ada")).toHaveLength(1);
});
