import type { Protocol } from "./protocol.ts";

/** OP_MSG without compression. A reply names its request. A monitored `hello` gets many replies. */
export function mongoProtocol(): Protocol {
  const pending = new Map<number, Buffer>();
  return {
    fromClient(bytes) {
      const length = frameLength(bytes);
      if (length === undefined) return undefined;
      const name = commandName(bytes);
      if (name === undefined || HOUSEKEEPING.test(name)) return { length };
      const command = bytes.subarray(0, length);
      pending.set(bytes.readInt32LE(REQUEST_ID), command);
      return { length, command };
    },
    fromServer(bytes) {
      const length = frameLength(bytes);
      if (length === undefined) return undefined;
      const requestId = bytes.readInt32LE(RESPONSE_TO);
      const command = pending.get(requestId);
      pending.delete(requestId);
      return { length, command };
    },
  };
}

const HOUSEKEEPING = /^(hello|ismaster|sasl\w+|endSessions|buildInfo)$/i;

const REQUEST_ID = 4;
const RESPONSE_TO = 8;
const OPCODE = 12;
const OP_MSG = 2013;

function frameLength(bytes: Buffer): number | undefined {
  if (bytes.length < 16) return undefined;
  const length = bytes.readInt32LE(0);
  return length <= bytes.length ? length : undefined;
}

/**
 * Returns the first key of the body, which follows the header, four bytes of flags, the section's kind and
 * the document's length.
 */
function commandName(bytes: Buffer): string | undefined {
  if (bytes.readInt32LE(OPCODE) !== OP_MSG) return undefined;
  const from = 16 + 4 + 1 + 4 + 1;
  return bytes.toString("utf8", from, bytes.indexOf(0, from));
}
