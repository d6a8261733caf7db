import { types } from "node:util";
import { isAsynchronous } from "./asynchronous.ts";
import { publish } from "./events.ts";
import { type About, refusal } from "./refusal.ts";

/** Encodes and decodes session data, with the checks that codecs do not make. */
export class Encoding<Data extends object> {
  readonly #codec: Codec;
  readonly #maxBytes: number;

  constructor(codec: Codec, maxBytes: number) {
    this.#codec = codec;
    this.#maxBytes = maxBytes;
  }

  /** @throws TypeError for data without keys, or too large, and whatever the codec throws */
  encode(data: object, about: About): string {
    if (!isData(data))
      throw refusal(
        "session data must be an object with keys, not an array, a Map, a Set or a promise",
        about,
      );
    const text = this.#encoded(data, about);
    if (typeof text !== "string") throw refusal("the codec must encode session data as a string", about);
    // A UTF-16 code unit takes at most three bytes of UTF-8, so most strings need no measuring.
    const bytes = text.length * 3 <= this.#maxBytes ? 0 : Buffer.byteLength(text);
    if (bytes <= this.#maxBytes) return text;
    throw refusal(
      `session data of ${bytes} bytes is over the limit of ${this.#maxBytes}: store large values elsewhere, or raise maxDataBytes`,
      about,
    );
  }

  /** Decodes session data. `null`: the codec cannot read it, and the event `unreadable` is published. */
  decode(text: string, about: About): Data | null {
    try {
      const data: unknown = this.#codec.decode(text);
      if (isData(data)) return data as Data;
    } catch {
      // Not reported, because parsers quote the text.
    }
    publish("unreadable", { id: about.id, userId: about.userId, keyId: null });
    return null;
  }

  /**
   * Decodes what {@link encode} has just returned: the data as they are now and will be read.
   *
   * @throws TypeError if the codec cannot decode it
   */
  decodeOwn(text: string, about: About): Data {
    const data = this.decode(text, about);
    if (data) return data;
    throw refusal("the codec cannot decode what it encoded: fix the codec", about);
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

/** Whether a value has keys to merge by, unlike an array, a `Map` or a promise. */
function isData(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return !(types.isMap(value) || types.isSet(value) || isAsynchronous(value));
}

/** Converts between session data and the string that a store keeps. */
export interface Codec {
  /** @throws TypeError for data that it cannot encode completely */
  encode(data: object): string;
  /**
   * Returns the data given to `encode`, as far as the format preserves it. Any error that it throws is
   * reported without its message.
   */
  decode(text: string): object;
}

/**
 * JSON, with its limits. A `Date` comes back as its ISO string, a `Map` or `Set` as `{}`, NaN and infinities
 * as `null`. Values that are `undefined`, functions or symbols are omitted, or `null` in arrays. Cycles and
 * bigints are refused. Strings come back exactly, including lone surrogates and NUL.
 */
export const jsonCodec: Codec = {
  encode(data) {
    let text: string | undefined;
    try {
      text = JSON.stringify(data);
    } catch {
      // The message of JSON.stringify names keys of the data.
      throw new TypeError(
        "session data contains a cycle, a bigint or a toJSON that throws: use plain JSON values, or set the option codec",
      );
    }
    if (text?.startsWith("{")) return text;
    throw new TypeError(
      "the toJSON of session data must return an object: use plain JSON values, or set the option codec",
    );
  },
  decode(text) {
    const data: unknown = JSON.parse(text);
    if (typeof data === "object" && data !== null && !Array.isArray(data)) return data;
    throw new TypeError("the text is JSON, but not an object");
  },
};
