import type { Codec } from "./codec.ts";
import { StoreError } from "./errors.ts";
import { publish } from "./events.ts";
import { type About, refusal } from "./refusal.ts";
import { RETIRED } from "./retired.ts";

/** Session data to text and back, with the checks that no codec makes. */
export class Encoding<Data extends object> {
  readonly #codec: Codec;
  readonly #maxBytes: number;

  constructor(codec: Codec, maxBytes: number) {
    this.#codec = codec;
    this.#maxBytes = maxBytes;
  }

  /** @throws what the codec throws, and TypeError for what is no session data, or too large */
  encode(data: object, about: About): string {
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
      throw refusal("session data must be an object with a key for each thing to keep", about);
    }
    const text = this.#encoded(data, about);
    if (typeof text !== "string" || text === RETIRED) {
      throw refusal("the codec must encode session data as a string that is not empty", about);
    }
    const bytes = Buffer.byteLength(text);
    if (bytes <= this.#maxBytes) return text;
    throw refusal(
      `session data of ${bytes} bytes is over the limit of ${this.#maxBytes}: keep it elsewhere, or raise maxDataBytes`,
      about,
    );
  }

  /** @throws StoreError for what the codec can't read */
  decode(text: string, { id, userId }: About): Data {
    try {
      return this.#codec.decode(text) as Data;
    } catch {
      // No cause: what parsers throw quotes the text.
      const error = new StoreError(
        "read",
        "the stored session data is not of this codec: has the codec changed?",
      );
      publish("store-failure", { id, userId, error });
      throw error;
    }
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
