import type { Protocol } from "./protocol.ts";

/** RESP2 and RESP3. Replies come in the order of the commands. A push (`>`) is not a reply. */
export function redisProtocol(): Protocol {
  const pending: (Buffer | undefined)[] = [];
  return {
    fromClient(bytes) {
      const length = endOfValue(bytes, 0);
      if (length === undefined) return undefined;
      const sent = bytes.subarray(0, length);
      const command = HOUSEKEEPING.test(sent.toString("latin1", 0, 64)) ? undefined : sent;
      pending.push(command);
      return { length, command };
    },
    fromServer(bytes) {
      const length = endOfValue(bytes, 0);
      if (length === undefined) return undefined;
      return { length, command: bytes[0] === PUSH ? undefined : pending.shift() };
    },
  };
}

const PUSH = ">".charCodeAt(0);

/**
 * The commands that ioredis and node-redis send by themselves, when they connect or refresh the topology of a
 * cluster.
 */
const HOUSEKEEPING =
  /^\*\d+\r\n\$\d+\r\n(auth|hello|client|select|info|readonly|cluster|command|sentinel|role)\r\n/i;

/** Returns where the value that begins at `at` ends. `undefined`: it is incomplete. */
function endOfValue(bytes: Buffer, at: number): number | undefined {
  const lineEnd = bytes.indexOf("\r\n", at);
  if (lineEnd === -1) return undefined;
  const type = String.fromCharCode(bytes[at] ?? 0);
  const afterLine = lineEnd + 2;
  const size = Number(bytes.toString("latin1", at + 1, lineEnd));
  if ("$!=".includes(type)) {
    const end = size < 0 ? afterLine : afterLine + size + 2;
    return end <= bytes.length ? end : undefined;
  }
  // An attribute (|) precedes the value that it describes.
  const values = "*~>".includes(type) ? size : type === "%" ? size * 2 : type === "|" ? size * 2 + 1 : 0;
  let end: number | undefined = afterLine;
  for (let i = 0; i < values && end !== undefined; i += 1)
    end = end < bytes.length ? endOfValue(bytes, end) : undefined;
  return end;
}
