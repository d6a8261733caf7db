import { randomBytes, randomUUID } from "node:crypto";
import { memoryStore, newToken, Sessions } from "@tenure/core";
import { describe, expect, test } from "vitest";
import { counted } from "./counted.ts";

describe("tokens", () => {
  test("are 256 random bits in base64url (ASVS 7.2.3, 11.5.1)", () => {
    const tokens = new Set(Array.from({ length: 1000 }, newToken));
    expect(tokens.size).toBe(1000);
    for (const token of tokens) expect(token).toMatch(/^[\w-]{43}$/);
    const bytes = Buffer.from(
      [...tokens].map((token) => Buffer.from(token, "base64url").toString("hex")).join(""),
      "hex",
    );
    // 32,000 bytes: each value is expected 125 times; 60 and 210 are over six standard deviations off.
    for (let value = 0; value < 256; value += 1) {
      const times = bytes.reduce((count, byte) => count + Number(byte === value), 0);
      expect(times).toBeGreaterThan(60);
      expect(times).toBeLessThan(210);
    }
  });

  test("never reach the store: it sees the SHA-256 digest alone", async () => {
    const { store, written } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const { token, session } = await sessions.create({ a: 1 }, { userId: "ada" });
    const found = await sessions.get(token);
    await sessions.save(found!, { a: 2 });
    const rotated = await sessions.rotate(token);
    await sessions.revokeAllForUser("ada", { exceptToken: rotated!.token });
    await sessions.revoke(rotated!.token);
    expect(written()).toContain(session.id);
    expect(written()).not.toContain(token);
    expect(written()).not.toContain(rotated!.token);
    expect(JSON.stringify([session, found, await sessions.listForUser("ada")])).not.toContain(token);
  });

  test.each([
    ["24 bytes, base64url", randomBytes(24).toString("base64url")],
    ["16 bytes, hex", randomBytes(16).toString("hex")],
    ["16 bytes, hex, that look like a UUID without its dashes", "f81d4fae7dec41d0a76500a0c91e6bf6"],
    ["16 bytes, base64", randomBytes(16).toString("base64")],
    ["40 digits", "1".repeat(40)],
  ])("of a framework are taken with room for 128 bits: %s", async (_, token) => {
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
  ])("of a framework are refused before anything is written: %s", async (_, token) => {
    const { store, calls } = counted(memoryStore());
    const sessions = new Sessions({ store });
    const refused = sessions.createWithToken(token, {});
    await expect(refused).rejects.toThrow(TypeError);
    if (token.length > 3) await expect(refused).rejects.not.toThrow(token);
    expect(calls()).toEqual([]);
  });

  test("of a framework may be weaker where an option says so", async () => {
    const sessions = new Sessions({ store: memoryStore(), minTokenBits: 122 });
    expect(await sessions.createWithToken(randomUUID(), {})).not.toBeNull();
  });

  test("of a client that nobody issued are never adopted, and are nobody's session", async () => {
    const { store, calls } = counted(memoryStore());
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
    }
    expect(calls()).not.toContain("create");
  });

  test("two that differ only by a lone surrogate are not one session", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const token = `${newToken()}\ufffd`;
    await sessions.createWithToken(token, { mine: true });
    expect(await sessions.get(token.replace("\ufffd", "\ud800"))).toBeNull();
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("of a session that is alive or was revoked create nothing", async () => {
    const sessions = new Sessions({ store: memoryStore() });
    const token = newToken();
    await sessions.createWithToken(token, { first: true });
    expect(await sessions.createWithToken(token, { first: false })).toBeNull();
    expect((await sessions.get(token))?.data).toEqual({ first: true });
    await sessions.revoke(token);
    expect(await sessions.createWithToken(token, {})).toBeNull();
    expect(await sessions.get(token)).toBeNull();
  });
});
