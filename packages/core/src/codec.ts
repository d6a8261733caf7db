/** How session data becomes the string that a store keeps. */
export interface Codec {
  /** @throws TypeError for what it can't hold, rather than holding half of it */
  encode(data: object): string;
  /** What `encode` was given, as far as the format can tell. May throw anything: it is reported without its message. */
  decode(text: string): object;
}

/**
 * JSON, and what JSON does: a `Date` comes back as its ISO string; keys whose value is `undefined`, a function or a symbol
 * are left out (in arrays: `null`), so are `NaN` and infinities (`null`); `Map` and `Set` become `{}`. Cycles and bigints
 * are refused. Any string comes back as it was, lone surrogates and NUL included.
 */
export const jsonCodec: Codec = {
  encode(data) {
    try {
      return JSON.stringify(data);
    } catch {
      // What JSON.stringify throws names keys of the data.
      throw new TypeError(
        "session data holds a cycle, a bigint or a toJSON that throws: make it plain JSON, or give a codec",
      );
    }
  },
  decode(text) {
    const data: unknown = JSON.parse(text);
    if (typeof data === "object" && data !== null && !Array.isArray(data)) return data;
    throw new TypeError("this is JSON, but no session data");
  },
};
