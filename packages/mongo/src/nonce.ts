import { randomBytes } from "node:crypto";

/**
 * Returns a mark for one write, by which the same command, sent again, finds in the document that it was
 * executed.
 */
export function newNonce(): string {
  writes += 1;
  return `${PROCESS}.${writes.toString(36)}`;
}

const PROCESS = randomBytes(9).toString("base64url");
let writes = 0;
