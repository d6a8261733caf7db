import { runInNewContext } from "node:vm";
import { type Codec, jsonCodec, memoryStore, newToken, Sessions } from "@tenure/core";
import { Bridge, warnOnce } from "@tenure/core/bridge";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { recordCalls } from "./record-calls.ts";
import { queryBuilder } from "./query-builder.ts";

async function roundTrip(data: Record<string, unknown>): Promise<unknown> {
  const sessions = new Sessions({ store: memoryStore() });
  const { token } = await sessions.create(data);
  return (await sessions.get(token))?.data;
}

describe("the default codec", () => {
  test("keeps any JSON exactly", async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), async (data) => {
        expect(JSON.stringify(await roundTrip(data))).toBe(JSON.stringify(data));
      }),
    );
  });

  test("stores a Date as its ISO string", async () => {
    expect(await roundTrip({ at: new Date(0) })).toEqual({ at: "1970-01-01T00:00:00.000Z" });
  });

  test("leaves out undefined, functions and symbols, and stores NaN as null and a Map as {}", async () => {
    const data = {
      a: undefined,
      b: () => 1,
      c: Symbol("c"),
      d: Number.NaN,
      e: [undefined, () => 1],
      f: new Map([[1, 2]]),
    };
    const found = await roundTrip(data);
    expect(found).toEqual({ d: null, e: [null, null], f: {} });
    expect(Object.keys(found as object)).toEqual(["d", "e", "f"]);
  });

  test("keeps lone surrogates, NUL and keys such as __proto__", async () => {
    const data = JSON.parse('{"__proto__":{"admin":true},"constructor":1,"toString":2,"":3}') as Record<
      string,
      unknown
    >;
    data.text = '\ud800 \0 💥 {"$where":1}';
    const found = (await roundTrip(data)) as Record<string, unknown>;
    expect(JSON.stringify(found)).toBe(JSON.stringify(data));
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
    expect(found.admin).toBeUndefined();
  });

  test.each(["[]", "null", "1", '"s3cr3t"', "s3cr3t", ""])(
    "refuses to decode %j, which is not a JSON object",
    (text) => {
      expect(() => jsonCodec.decode(text)).toThrow(/JSON/);
    },
  );

  const cyclic: Record<string, unknown> = { secret: "s3cr3t" };
  cyclic.secretKey = cyclic;
  test.each<[string, unknown]>([
    ["a cycle", cyclic],
    ["a bigint", { secret: 1n }],
    ["a toJSON that throws", { secret: { toJSON: () => JSON.parse("s3cr3t") as unknown } }],
    ["a string", "s3cr3t"],
    ["null", null],
    ["an array", ["s3cr3t"]],
    ["2 MiB", { secret: "s3cr3t".repeat(350_000) }],
    ["a Map", new Map([["secretKey", "s3cr3t"]])],
    ["a Map of another realm", runInNewContext("new Map([['secretKey', 's3cr3t']])")],
    ["a promise of another realm", runInNewContext("Promise.resolve({ secretKey: 's3cr3t' })")],
    ["a query builder, which runs when it is awaited", queryBuilder({ sql: "s3cr3t" })],
    ["a toJSON that returns an array", { toJSON: () => ["s3cr3t"] }],
    ["a toJSON that returns a string", { toJSON: () => "s3cr3t" }],
    ["a toJSON that returns undefined", { toJSON: () => undefined }],
  ])("refuses %s before anything is written, with an error that does not contain it", async (_, data) => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store });
    const { session } = await sessions.create({ a: 1 });
    takeCalls();
    for (const attempt of [
      () => sessions.create(data as never),
      () => sessions.save(session, data as never),
    ]) {
      const refusal: unknown = await attempt().then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refusal).toBeInstanceOf(TypeError);
      expect(String(refusal)).not.toMatch(/s3cr3t|secretKey/);
    }
    expect(takeCalls()).toEqual([]);
  });
});

describe("maxDataBytes", () => {
  test("counts bytes of UTF-8, and allows data of exactly that size", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxDataBytes: 20 });
    await expect(sessions.create({ a: "éééééééé" })).rejects.toThrow(/24 bytes is over the limit of 20/);
    expect(await sessions.create({ a: "éééééé" })).toBeDefined();
  });

  test("applies to the data that two saves make together", async () => {
    const sessions = new Sessions({ store: memoryStore(), maxDataBytes: 40 });
    const { token, session } = await sessions.create({});
    await sessions.save(session, { a: "x".repeat(20) });
    await expect(sessions.save(session, { b: "x".repeat(20) })).rejects.toThrow(/over the limit/);
    expect((await sessions.get(token))?.data).toEqual({ a: "x".repeat(20) });
  });
});

describe("a custom codec", () => {
  const dates: Codec = {
    encode: (data) =>
      JSON.stringify(data, function (key, value: unknown) {
        const raw = (this as Record<string, unknown>)[key];
        return raw instanceof Date ? { $date: raw.getTime() } : value;
      }),
    decode: (text) =>
      JSON.parse(text, (_, value: unknown) =>
        typeof value === "object" && value !== null && "$date" in value
          ? new Date(Number(value.$date))
          : value,
      ) as object,
  };

  test("keeps values such as a Date, through merges too", async () => {
    const sessions = new Sessions({ store: memoryStore(), codec: dates });
    const { token, session } = await sessions.create({ at: new Date(5), same: new Date(6) });
    await sessions.save(session, { ...session.data, a: 1 });
    await sessions.save(session, { ...session.data, at: new Date(7) });
    expect((await sessions.get(token))?.data).toEqual({ at: new Date(7), same: new Date(6), a: 1 });
  });

  test("may encode the same data differently each time: saves merge, and unchanged data are not written", async () => {
    let encoded = 0;
    const salted: Codec = {
      encode: (data) => `${(encoded += 1)} ${JSON.stringify(data)}`,
      decode: (text) => JSON.parse(text.slice(text.indexOf(" "))) as object,
    };
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, codec: salted });
    const { token } = await sessions.create({ a: { deep: [1] }, b: 1, c: 1 });
    const [one, two] = [(await sessions.get(token))!, (await sessions.get(token))!];
    await sessions.save(one, { ...one.data, a: { deep: [2] } });
    const saved = await sessions.save(two, { a: { deep: [1] }, b: 2 });
    expect(saved?.data).toEqual({ a: { deep: [2] }, b: 2 });
    takeCalls();
    await sessions.save(saved!, structuredClone(saved!.data));
    expect(takeCalls()).toEqual(["read"]);
  });

  test.for([undefined, null, "text", [1], new Map()])(
    "that decodes a record to %o makes it unreadable, and a login begins a new session",
    async (decoded) => {
      const store = memoryStore();
      const { token } = await new Sessions({ store }).create({ cart: 1 });
      const codec: Codec = {
        ...jsonCodec,
        decode: (text) => (text.includes("cart") ? decoded : JSON.parse(text)) as object,
      };
      const sessions = new Sessions({ store, codec });
      expect(await sessions.get(token)).toBeNull();
      const login = await sessions.logIn(token, "ada");
      expect(login.session).toMatchObject({ userId: "ada", data: {} });
      expect(await sessions.listForUser("ada")).toHaveLength(1);
    },
  );

  test("that cannot decode what it encoded is reported as such, and no session without a user is stored", async () => {
    const { store, takeCalls } = recordCalls(memoryStore());
    const codec: Codec = { ...jsonCodec, encode: (data) => `v2:${JSON.stringify(data)}` };
    const sessions = new Sessions({ store, codec });
    const message = "the codec cannot decode what it encoded";
    await expect(sessions.create({ a: 1 })).rejects.toThrow(TypeError);
    await expect(sessions.create({ a: 1 })).rejects.toThrow(message);
    await expect(sessions.createWithToken("x".repeat(43), { a: 1 })).rejects.toThrow(message);
    const request = new Bridge(sessions, warnOnce()).request();
    await expect(request.save({ a: 1 }, null)).rejects.toThrow(message);
    expect(takeCalls()).not.toContain("create");
    await expect(sessions.create({ a: 1 }, { userId: "ada" })).rejects.toThrow(message);
    await expect(sessions.logIn(null, "ada")).rejects.toThrow(message);
    await expect(sessions.logIn(null, "ada")).rejects.toThrow(TypeError);
  });

  test("that cannot decode what it encoded changes no session: each change of its data is refused", async () => {
    const decode = (text: string): object => {
      if (text.includes("bad")) throw new Error("no");
      return jsonCodec.decode(text);
    };
    const { store, takeCalls } = recordCalls(memoryStore());
    const sessions = new Sessions({ store, codec: { ...jsonCodec, decode } });
    const bridge = new Bridge(sessions, warnOnce());
    const message = "the codec cannot decode what it encoded";
    const { token, session } = await sessions.create({ userId: "ada" });
    const bad = { userId: "ada", bad: 1 };
    const request = bridge.request(await bridge.load(token));
    takeCalls();
    await expect(sessions.save(session, bad)).rejects.toThrow(message);
    await expect(sessions.update(session, () => bad)).rejects.toThrow(message);
    await expect(request.save(bad, null)).rejects.toThrow(message);
    await expect(request.logIn("ada", bad)).rejects.toThrow(message);
    await expect(bridge.request().logIn("ada", bad)).rejects.toThrow(message);
    expect(takeCalls()).toEqual([]);
    expect(await sessions.get(token)).toMatchObject({ userId: "ada", data: { userId: "ada" } });
    const renewed = bridge.request(await bridge.load((await sessions.create({})).token));
    await renewed.regenerate();
    await expect(renewed.save(bad, null)).rejects.toThrow(message);
    // A logout takes effect even so.
    await request.regenerate(undefined, { bad: 1 });
    expect(await sessions.get(token)).toBeNull();
    expect(request.state).toBe("new");
  });

  test("whose decode returns a promise is refused at construction", () => {
    const codec = { ...jsonCodec, decode: async () => ({}) } as unknown as Codec;
    expect(() => new Sessions({ store: memoryStore(), codec })).toThrow("its decode returned a promise");
  });
});

describe("a record that cannot be read", () => {
  const v2: Codec = {
    encode: (data) => `v2:${JSON.stringify(data)}`,
    decode: (text) => {
      if (!text.startsWith("v2:")) throw new Error(text);
      return JSON.parse(text.slice(3)) as object;
    },
  };
  const setUp = async () => {
    const store = memoryStore();
    const { token, session } = await new Sessions({ store }).create({ secret: "s3cr3t" }, { userId: "ada" });
    const sessions = new Sessions({ store, codec: v2 });
    const readable = await sessions.create({ n: 1 }, { userId: "ada" });
    return { store, sessions, token: token!, id: session!.id, readable: readable.session! };
  };

  test("is listed without its data, and does not stop the user's other sessions from being listed and ended", async () => {
    const { sessions, id, readable } = await setUp();
    const listed = await sessions.listForUser("ada");
    expect(new Map(listed.map((one) => [one.id, one.data]))).toEqual(
      new Map([
        [id, null],
        [readable.id, { n: 1 }],
      ]),
    );
    expect(await Array.fromAsync(sessions.all())).toHaveLength(2);
    expect(await sessions.revokeAllForUser("ada")).toBe(2);
  });

  test("logs nobody in, is not overwritten by a login, and is ended by a logout", async () => {
    const { store, sessions, token, id } = await setUp();
    const before = await store.read(id);
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.rotate(token)).toBeNull();
    const login = await sessions.logIn(token, "ada");
    expect(login.session!.id).not.toBe(id);
    expect(await store.read(id)).toEqual(before);
    expect(await sessions.revoke(token)).toBe(true);
    expect(await store.read(id)).toBeNull();
  });

  test("because it has no envelope is listed, and ended by a logout with any token of its id", async () => {
    const store = memoryStore();
    const sessions = new Sessions({ store });
    const token = newToken();
    const id = token.slice(0, 22);
    await store.create({ id, userId: "ada", data: "{}", idle: 60_000, lifetime: 60_000 });
    expect(await sessions.get(token)).toBeNull();
    expect(await sessions.listForUser("ada")).toMatchObject([{ id, userId: "ada", data: null }]);
    expect(await sessions.revoke(token)).toBe(true);
    expect(await sessions.listForUser("ada")).toEqual([]);
  });

  test("never shows its text, even if the codec's error quotes it", async () => {
    const { sessions, token } = await setUp();
    const results = [await sessions.get(token), ...(await sessions.listForUser("ada"))];
    expect(JSON.stringify(results)).not.toContain("s3cr3t");
  });
});
