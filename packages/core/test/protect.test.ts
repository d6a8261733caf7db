import { createCipheriv, createDecipheriv, createHmac, hash, hkdfSync } from "node:crypto";
import { inspect } from "node:util";
import {
  type Codec,
  memoryStore,
  type ProtectKey,
  Sessions,
  type SessionStore,
  StoreError,
} from "@tenure/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Envelopes } from "../src/envelope.ts";
import { protectionWith } from "../src/protection.ts";
import { rotateLive } from "./rotate-live.ts";

const key = (id: string, byte: number): ProtectKey => ({ id, key: Buffer.alloc(32, byte) });
const [ONE, TWO, THREE] = [key("one", 1), key("two", 2), key("three", 3)];

/** Returns a store, and `Sessions` over it that protect their data with these keys. */
function setUp(keys: readonly ProtectKey[] = [ONE], store: SessionStore = memoryStore(), more: object = {}) {
  return { store, sessions: new Sessions({ store, protect: { keys, ...more } }) };
}

/** Creates a session of the user ada. */
async function createSession(sessions: Sessions): Promise<{ readonly token: string; readonly id: string }> {
  const { token, session } = await sessions.create({ userId: "ada", secret: "s3cr3t" });
  return { token, id: session.id };
}

describe("protected sessions", () => {
  test("are logged in, saved, rotated and logged out as plain ones are", async () => {
    const { sessions } = setUp();
    const visitor = await sessions.create({ cart: ["tea"] });
    const login = await sessions.logIn(visitor.token, "ada");
    await sessions.save(login.session!, { cart: ["tea", "milk"] });
    const rotated = await rotateLive(sessions, login.token!);
    expect(await sessions.get(rotated.token)).toMatchObject({
      userId: "ada",
      data: { cart: ["tea", "milk"] },
    });
    expect(await sessions.rotate(login.token!)).toBe("superseded");
    expect(await sessions.revoke(login.token!)).toBe(true);
    expect(await sessions.get(rotated.token)).toBeNull();
  });

  test("hold any data under any key", async () => {
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 64 });
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()),
        bytes,
        async (data, random) => {
          const { sessions } = setUp([{ id: "k", key: random }]);
          const { token } = await sessions.create(data, { userId: null });
          const wellFormed = JSON.stringify(data).isWellFormed()
            ? data
            : JSON.parse(JSON.stringify(data).toWellFormed());
          expect(JSON.stringify((await sessions.get(token))?.data)).toBe(JSON.stringify(wellFormed));
        },
      ),
      { numRuns: 50 },
    );
  });

  test("show no data, no key and no digest that a token can be compared with (ASVS 11.3.2, 14.2.4)", async () => {
    const { store, sessions } = setUp();
    const { token, id } = await createSession(sessions);
    const { data } = (await store.read(id))!;
    expect(data).not.toContain("s3cr3t");
    expect(data).not.toContain(hash("sha256", token, "base64url"));
    expect(inspect([sessions, sessions.policy], { depth: 9, showHidden: true })).not.toMatch(
      /0101010101|AQEBAQ/,
    );
  });

  test("are encrypted differently each time, even with the same data (ASVS 11.3.4)", async () => {
    const { store, sessions } = setUp();
    const { id, token } = await createSession(sessions);
    const before = (await store.read(id))!.data;
    const session = (await sessions.get(token))!;
    await sessions.save((await sessions.save(session, { ...session.data, a: 1 }))!, session.data);
    expect((await store.read(id))!.data).not.toBe(before);
  });
});

describe("a protected record", () => {
  const expectUnreadable = async (
    sessions: Sessions,
    store: SessionStore,
    token: string,
    id: string,
  ): Promise<void> => {
    const before = await store.read(id);
    expect(await sessions.get(token)).toBeNull();
    const all = await sessions.listForUser(before!.userId ?? "ada");
    const listed = all.find((one) => one.id === id);
    expect(listed?.data ?? null).toBeNull();
    expect(await store.read(id)).toEqual(before);
  };

  test("with any one character changed is unreadable, or its key is missing (ASVS 11.3.3)", async () => {
    const { store, sessions } = setUp();
    const { token, id } = await createSession(sessions);
    const { data } = (await store.read(id))!;
    for (let at = 0; at < data.length; at += 1) {
      const flipped = String.fromCharCode(data.charCodeAt(at) ^ 1);
      await store.update(id, { data: data.slice(0, at) + flipped + data.slice(at + 1), touch: false });
      const found: unknown = await sessions.get(token).catch((error: unknown) => error);
      expect(found === null || found instanceof StoreError, `at ${at}`).toBe(true);
    }
    await store.update(id, { data });
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("that was cut short is unreadable, is not overwritten, and can be ended (ASVS 11.3.3)", async () => {
    const { store, sessions } = setUp();
    const { token, id } = await createSession(sessions);
    const { data } = (await store.read(id))!;
    for (const length of [data.length - 1, 170, 145, 129, 10, 0]) {
      await store.update(id, { data: data.slice(0, length) });
      await expectUnreadable(sessions, store, token, id);
    }
    expect(await sessions.revokeById(id)).toBe(true);
  });

  test("with the data of another session of the same user is unreadable (ASVS 11.3.3)", async () => {
    const { store, sessions } = setUp();
    const [one, two] = [await createSession(sessions), await createSession(sessions)];
    const theirs = (await store.read(two.id))!.data;
    await store.update(one.id, { data: theirs });
    await expectUnreadable(sessions, store, one.token, one.id);
    expect(await sessions.get(`${one.id}.${two.token.split(".")[1]}`)).toBeNull();
  });

  test("that was given to another user is unreadable (ASVS 11.3.3)", async () => {
    const { store, sessions } = setUp();
    const { token, id } = await createSession(sessions);
    await store.update(id, { userId: "admin" });
    await expectUnreadable(sessions, store, token, id);
    await store.update(id, { userId: null });
    expect(await sessions.get(token)).toBeNull();
  });

  test("with a token digest that was made without the key logs nobody in (ASVS 11.3.3)", async () => {
    const { store, sessions } = setUp();
    const { id } = await createSession(sessions);
    const { data } = (await store.read(id))!;
    const forged = `${id}.${"A".repeat(43)}`;
    await store.update(id, {
      data: data.slice(0, 43) + hash("sha256", forged, "base64url") + data.slice(86),
    });
    expect(await sessions.get(forged)).toBeNull();
  });

  test("with the token digest of another session logs nobody in", async () => {
    const { store, sessions } = setUp();
    const [one, two] = [await createSession(sessions), await createSession(sessions)];
    const [a, b] = [(await store.read(one.id))!.data, (await store.read(two.id))!.data];
    await store.update(one.id, { data: a.slice(0, 43) + b.slice(43, 86) + a.slice(86) });
    expect(await sessions.get(one.token)).toBeNull();
    expect(await sessions.get(`${one.id}.${two.token.split(".")[1]}`)).toBeNull();
  });

  test("that was set back to an earlier version of itself is still readable: this is not detected", async () => {
    const { store, sessions } = setUp();
    const { token, id } = await createSession(sessions);
    const before = (await store.read(id))!.data;
    const session = (await sessions.get(token))!;
    await sessions.save(session, { ...session.data, isAdmin: false });
    await store.update(id, { data: before });
    expect((await sessions.get(token))?.data).toEqual({ userId: "ada", secret: "s3cr3t" });
  });
});

describe("a key", () => {
  test("that is missing makes calls reject with a StoreError that names it, and logs nobody out (ASVS 16.5.3)", async () => {
    const { store, sessions } = setUp([ONE]);
    const { token } = await createSession(sessions);
    for (const wrong of [new Sessions({ store, protect: { keys: [TWO] } }), new Sessions({ store })]) {
      await expect(wrong.get(token)).rejects.toThrow(/the key one/);
      await expect(wrong.get(token)).rejects.toThrow(StoreError);
      await expect(wrong.rotate(token)).rejects.toThrow(StoreError);
    }
    expect(await sessions.get(token)).not.toBeNull();
  });

  test("that is missing does not prevent a logout", async () => {
    const { store, sessions } = setUp([ONE]);
    const wrong = new Sessions({ store, protect: { keys: [TWO] } });
    const [one, two] = [await createSession(sessions), await createSession(sessions)];
    expect(await wrong.revoke(one.token)).toBe(true);
    expect(await wrong.revokeAllForUser("ada")).toBe(1);
    expect(await sessions.get(two.token)).toBeNull();
  });

  test("that is missing only hides the data of its sessions: others are listed, and are live", async () => {
    const store = memoryStore();
    const first = await setUp([ONE, TWO], store).sessions.create({ n: 1 }, { userId: "ada" });
    const second = await setUp([TWO, ONE], store).sessions.create({ n: 2 }, { userId: "ada" });
    const { sessions } = setUp([TWO], store);
    const listed = await sessions.listForUser("ada");
    expect(Object.fromEntries(listed.map(({ id, data }) => [id, data]))).toEqual({
      [first.session!.id]: null,
      [second.session!.id]: { n: 2 },
    });
    expect(await sessions.areLive([first.session!, second.session!])).toEqual([false, true]);
  });

  test.each([
    Buffer.alloc(32, 1).toString("base64"),
    Buffer.alloc(32, 1).toString("base64url"),
    `${Buffer.alloc(32, 1).toString("base64")}\n`,
    Buffer.alloc(32, 1).toString("base64").replace(/.{16}/g, "$&\n"),
  ])(
    "may be given as base64, with or without padding, and with line breaks, as openssl prints it: %j",
    async (base64) => {
      const { store, sessions } = setUp([ONE]);
      const { token } = await createSession(sessions);
      const same = new Sessions({ store, protect: { keys: [{ id: "one", key: base64 }] } });
      expect(await same.get(token)).not.toBeNull();
    },
  );
});

test.each([
  [{ keys: [] }, /at least one key/],
  [{ keys: [{ id: "", key: Buffer.alloc(32) }] }, /id of a key/],
  [{ keys: [{ id: "a".repeat(17), key: Buffer.alloc(32) }] }, /id of a key/],
  [{ keys: [{ id: "k", key: "s3cr3t" }] }, /the key k must have at least 32 random bytes/],
  [{ keys: [{ id: "k", key: Buffer.alloc(31) }] }, /the key k must have/],
  [
    { keys: [{ id: "k", key: "a pass phrase of many words such as s3cr3t is not base64" }] },
    /the key k must be base64/,
  ],
  [{ keys: [undefined] }, /id of a key/],
  [{ keys: [ONE, ONE] }, /two keys have the id one/],
  [{ keys: [ONE], acceptPlain: "yes" }, /acceptPlain/],
])("an invalid protect option is refused at construction, and no key is shown: %o", (protect, message) => {
  const construct = (): unknown => new Sessions({ store: memoryStore(), protect: protect as never });
  expect(construct).toThrow(TypeError);
  expect(construct).toThrow(message);
  expect(construct).not.toThrow(/s3cr3t/);
});

describe("a rotation of keys", () => {
  test("reads with every key and writes with the first", async () => {
    const { store, sessions } = setUp([ONE]);
    const { token, id } = await createSession(sessions);
    const next = new Sessions({ store, protect: { keys: [TWO, ONE] } });
    const session = (await next.get(token))!;
    await next.save(session, { ...session.data, a: 1 });
    expect((await store.read(id))!.data.slice(129, 145)).toBe("two.............");
    expect((await next.get(token))?.data).toMatchObject({ a: 1 });
    await expect(sessions.get(token)).rejects.toThrow(/the key two/);
  });

  test("under load ends no session and extends none (ASVS 11.2.2)", async () => {
    const store = memoryStore();
    let sessions = new Sessions({ store, protect: { keys: [ONE] } });
    const tokens = await Promise.all(
      Array.from({ length: 120 }, async () => (await createSession(sessions)).token),
    );
    const before = new Map<string, number>();
    for await (const { id, expiresAt } of store.scan()) before.set(id, expiresAt);
    for (const keys of [
      [TWO, ONE],
      [THREE, TWO],
      [ONE, THREE],
    ]) {
      sessions = new Sessions({ store, protect: { keys } });
      const reencryption = { isOver: false };
      const load = (async () => {
        for (let n = 0; !reencryption.isOver; n += 1) {
          // The memory store replies within a turn of the event loop: without this, nothing else would run.
          await new Promise((resolve) => setImmediate(resolve));
          const at = n % tokens.length;
          const session = await sessions.get(tokens[at], { touch: false });
          expect(session).not.toBeNull();
          await sessions.save(session!, { ...session!.data, n }, { touch: false });
          if (n % 10 === 0) tokens[at] = (await rotateLive(sessions, tokens[at]!)).token;
        }
      })();
      const progress: number[] = [];
      await sessions.reencrypt({ onProgress: ({ moved }) => progress.push(moved) });
      reencryption.isOver = true;
      await load;
      expect(progress.length).toBeGreaterThan(1);
      const alone = new Sessions({ store, protect: { keys: keys.slice(0, 1) } });
      for (const token of tokens) expect(await alone.get(token, { touch: false })).not.toBeNull();
    }
    let extended = 0;
    for await (const { id, expiresAt } of store.scan())
      if (expiresAt > before.get(id)! + 60_000) extended += 1;
    expect(extended).toBe(0);
  });

  test("can be interrupted and continued, and leaves records alone that cannot be read", async () => {
    const { store, sessions } = setUp([ONE]);
    for (let n = 0; n < 120; n += 1) await createSession(sessions);
    const broken = await createSession(sessions);
    await store.update(broken.id, { data: "{}" });
    const next = new Sessions({ store, protect: { keys: [TWO, ONE] } });
    const stopping = new AbortController();
    const first = await next.reencrypt({ signal: stopping.signal, onProgress: () => stopping.abort() });
    expect(first.moved).toBeLessThan(120);
    const second = await next.reencrypt();
    expect(first.moved + second.moved).toBe(120);
    expect(second).toMatchObject({ skipped: first.moved, unreadable: 1 });
  });

  test("with an option of a wrong type rejects before it changes a session", async () => {
    const { store, sessions } = setUp([ONE]);
    await createSession(sessions);
    const before = await Array.fromAsync(store.scan());
    const next = new Sessions({ store, protect: { keys: [TWO, ONE] } });
    for (const options of [{ onProgress: 5 }, { signal: 5 }]) {
      await expect(next.reencrypt(options as never)).rejects.toThrow(TypeError);
    }
    expect(await Array.fromAsync(store.scan())).toEqual(before);
  });

  test("does not extend a session that reencrypt moves to the new key", async () => {
    let now = 1_000_000;
    const store = memoryStore({ clock: () => now });
    const { token, id } = await createSession(new Sessions({ store, protect: { keys: [ONE] } }));
    const { expiresAt } = (await store.read(id))!;
    now += 60_000;
    const next = new Sessions({ store, protect: { keys: [TWO, ONE] } });
    expect(await next.reencrypt()).toEqual({ moved: 1, skipped: 0, unreadable: 0 });
    expect((await store.read(id))!.expiresAt).toBe(expiresAt);
    expect(await next.get(token, { touch: false })).not.toBeNull();
  });
});

describe("plain sessions", () => {
  test("are unreadable with protect, and can be ended (ASVS 11.3.3)", async () => {
    const store = memoryStore();
    const plain = await createSession(new Sessions({ store }));
    const { sessions } = setUp([ONE], store);
    expect(await sessions.get(plain.token)).toBeNull();
    expect(await sessions.listForUser("ada")).toMatchObject([{ id: plain.id, data: null }]);
    expect(await sessions.revoke(plain.token)).toBe(true);
  });

  test("are readable with acceptPlain, and without it once reencrypt has moved them", async () => {
    const store = memoryStore();
    const plain = await createSession(new Sessions({ store }));
    const { sessions } = setUp([ONE], store, { acceptPlain: true });
    expect((await sessions.get(plain.token))?.data).toMatchObject({ secret: "s3cr3t" });
    expect(await sessions.reencrypt()).toMatchObject({ moved: 1 });
    expect((await setUp([ONE], store).sessions.get(plain.token))?.data).toMatchObject({ secret: "s3cr3t" });
  });
});

test("reencrypt without protect rejects, and leaves protected sessions readable", async () => {
  const { store, sessions } = setUp([ONE]);
  const { token } = await createSession(sessions);
  await expect(new Sessions({ store }).reencrypt()).rejects.toThrow(StoreError);
  expect(await sessions.get(token)).not.toBeNull();
});

const FACTS = {
  authenticatedAt: 1,
  version: 1,
  createdAt: 1,
  touchedAt: 1,
  idle: 1_800_000,
  expiresAt: 1_800_001,
  endsAt: 43_200_001,
};

/** Written by the first release, with a key of 32 bytes 0x01 and a nonce of zeros. */
const FIRST_RELEASE =
  "22v-00000018000000000043200000000000000000045slJ5nhw3dCXrpmDydKtgfM_7uWU051C8RZ-qyIASE-------------------------------------------one.............AAAAAAAAAAAAAAAApTRsqSNJD23dLKH7-eGKmjLy1cw656q9cx4noqp2TP0HC7IwNDurXLhiSV_ggxEahT42EWCwG3OOxKkiJvaftMsLcFWa-_c1nKUFULBQD7zrC-dkgoonM09X";

describe("the format of an envelope", () => {
  const record = { id: "AAAAAAAAAAAAAAAAAAAAAA", userId: "ada" };
  const head = {
    hasOwnIdle: false,
    hasOwnLifetime: true,
    isHidden: false,
    isLeft: false,
    idle: 1_800_000,
    lifetime: 43_200_000,
    digest: hash("sha256", `${record.id}.${"B".repeat(43)}`, "base64url"),
    previous: null,
  };

  test("uses primitives of Node that pass the test vectors of RFC 5869 (HKDF), RFC 4231 (HMAC) and GCM (ASVS 11.2.1)", () => {
    const [ikm, salt] = [Buffer.alloc(22, 0x0b), Buffer.from("000102030405060708090a0b0c", "hex")];
    const okm = Buffer.from(hkdfSync("sha256", ikm, salt, Buffer.from("f0f1f2f3f4f5f6f7f8f9", "hex"), 42));
    expect(okm.toString("hex")).toBe(
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    );

    const keyed = createHmac("sha256", "Jefe").update("what do ya want for nothing?").digest("hex");
    expect(keyed).toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    // Test case 16 of the specification of GCM.
    const half = "feffe9928665731c6d6a8f9467308308";
    const cipher = createCipheriv(
      "aes-256-gcm",
      Buffer.from(half + half, "hex"),
      Buffer.from("cafebabefacedbaddecaf888", "hex"),
    );
    cipher.setAAD(Buffer.from("feedfacedeadbeeffeedfacedeadbeefabaddad2", "hex"));
    const plain =
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    expect(cipher.update(plain, "hex", "hex") + cipher.final("hex")).toBe(
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    );
    expect(cipher.getAuthTag().toString("hex")).toBe("76fc6ece0f4e1768cddf8853bb2d551b");
  });

  test("is as documented: node:crypto alone can open it (ASVS 11.3.2)", () => {
    const text = new Envelopes(protectionWith({ keys: [ONE] })).seal(record, head, '{"a":"é"}');
    expect(text.slice(0, 43)).toBe(
      `22v-${"1800000".padStart(13, "0")}${"43200000".padStart(13, "0")}${"0".repeat(13)}`,
    );
    const derive = (info: string): Buffer =>
      Buffer.from(hkdfSync("sha256", Buffer.alloc(32, 1), "", info, 32));
    const keyed = createHmac("sha256", derive("tenure token digest v1"))
      .update(head.digest)
      .digest("base64url");
    expect(text.slice(43, 86)).toBe(keyed);
    expect(text.slice(86, 145)).toBe(`${"-".repeat(43)}one.............`);
    const sealed = Buffer.from(text.slice(145), "base64url");
    const dataKey = createHmac("sha256", derive("tenure session data v1")).update(record.id).digest();
    const decipher = createDecipheriv("aes-256-gcm", dataKey, sealed.subarray(0, 12));
    decipher.setAAD(Buffer.from(`${text.slice(0, 145)}${record.id}\0uada`));
    decipher.setAuthTag(sealed.subarray(-16));
    const plain = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
    expect(plain.toString("base64url", 0, 32)).toBe(head.digest);
    expect(plain.subarray(32, 64)).toEqual(Buffer.alloc(32));
    expect(plain.toString("utf8", 64)).toBe('{"a":"é"}');
  });

  test("keeps version 2 readable: it opens a protected record of the first release", () => {
    const envelopes = new Envelopes(protectionWith({ keys: [ONE] }));
    const data = FIRST_RELEASE;
    const opened = envelopes.openRecord({ ...FACTS, ...record, data });
    expect(opened).toMatchObject({ head, payload: '{"a":"é"}' });
    expect(envelopes.tokenOf(envelopes.read({ ...FACTS, ...record, data })!, head.digest)).toBe("current");
  });

  test("keeps version 1 readable: it opens a plain record of the first release", () => {
    const plain = `12v-0000001800000${"43200000".padStart(13, "0")}${"0".repeat(13)}${head.digest}${"-".repeat(43)}{"a":1}`;
    expect(new Envelopes().openRecord({ ...FACTS, ...record, data: plain })).toMatchObject({
      head,
      payload: '{"a":1}',
    });
    expect(new Envelopes().seal(record, head, '{"a":1}')).toBe(plain);
  });
});

test("with protect, data that encode to malformed Unicode are refused before anything is written", async () => {
  const codec: Codec = {
    encode: (data) => `${JSON.stringify(data)}\ud800`,
    decode: (text) => JSON.parse(text.slice(0, -1)),
  };
  const store = memoryStore();
  const sessions = new Sessions({ store, codec, protect: { keys: [ONE] } });
  await expect(sessions.create({ a: 1 })).rejects.toThrow("well-formed");
  expect(await Array.fromAsync(store.scan())).toEqual([]);
});
