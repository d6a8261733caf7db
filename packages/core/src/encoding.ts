import { publish } from "./events.ts";
import { type About, refusal } from "./refusal.ts";

/** Session data to text and back, with the checks that no codec makes. */
export class Encoding<Data extends object> {
  readonly #codec: Codec;
  readonly #maxBytes: number;

  constructor(codec: Codec, maxBytes: number) {
    this.#codec = codec;
    this.#maxBytes = maxBytes;
  }

  /** @throws what the codec throws, and TypeError for what is not session data, or too large */
  encode(data: object, about: About): string {
    if (!isData(data))
      throw refusal("session data must be an object with a key for each thing to keep", about);
    const text = this.#encoded(data, about);
    if (typeof text !== "string") throw refusal("the codec must encode session data as a string", about);
    // A string has at most three bytes of UTF-8 per unit, so most need not be measured.
    const bytes = text.length * 3 <= this.#maxBytes ? 0 : Buffer.byteLength(text);
    if (bytes <= this.#maxBytes) return text;
    throw refusal(
      `session data of ${bytes} bytes is over the limit of ${this.#maxBytes}: keep it elsewhere, or raise maxDataBytes`,
      about,
    );
  }

  /** The data, or `null` for what the codec cannot read, with the event `unreadable`. */
  decode(text: string, about: About): Data | null {
    try {
      const data: unknown = this.#codec.decode(text);
      if (isData(data)) return data as Data;
    } catch {
      // What parsers throw quotes the text.
    }
    publish("unreadable", { id: about.id, userId: about.userId, keyId: null });
    return null;
  }

  #encoded(data: object, { id, userId }: About): string {
    try {
      return this.#codec.encode(data);
    } catch (error) {
      // Not the codec's own message, which may quote the data.
      publish("refused", { id, userId, why: "the codec could not encode session data" });
      throw error;
    }
  }
}

/** Whether a value has keys to merge by, as an array, a `Map` or a promise has not. */
function isData(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(value instanceof Map || value instanceof Set || value instanceof Promise);
}

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
    let text: string | undefined;
    try {
      text = JSON.stringify(data);
    } catch {
      // What JSON.stringify throws names keys of the data.
      throw new TypeError(
        "session data holds a cycle, a bigint or a toJSON that throws: make it plain JSON, or give a codec",
      );
    }
    if (text?.startsWith("{")) return text;
    throw new TypeError("the toJSON of session data gives no object: make it plain JSON, or give a codec");
  },
  decode(text) {
    const data: unknown = JSON.parse(text);
    if (typeof data === "object" && data !== null && !Array.isArray(data)) return data;
    throw new TypeError("this is JSON, but no session data");
  },
};
