import { randomFillSync } from "node:crypto";
import { NONCE, NONE } from "./record.ts";

/**
 * What tells one call of a script from another: 48 random bits, as the bytes that are sent. A buffer, because ioredis reads
 * it anew each time it sends a command, so that it can be taken back from a command that still waits in a queue.
 */
export function newNonce(): Buffer {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const nonce = Buffer.from(random.toString("base64url", used, used + BYTES), "latin1");
  used += BYTES;
  return nonce;
}

/** Makes a script do nothing if it is sent again, or only now. What the server has received already, it may still do. */
export function takeBack(nonce: Buffer): void {
  nonce.write(NONE, "latin1");
}

const BYTES = (NONCE * 3) / 4;
const random = Buffer.alloc(BYTES * 256);
let used = random.length;
