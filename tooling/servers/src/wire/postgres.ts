import type { Protocol } from "./protocol.ts";

/**
 * Version 3 of the protocol, without TLS. A command is a simple query, or all messages up to a Sync. Its
 * reply is all messages up to ReadyForQuery. Nothing is counted before the first ReadyForQuery.
 */
export function postgresProtocol(): Protocol {
  const pending: Buffer[] = [];
  let started = false;
  let ready = false;
  return {
    fromClient(bytes) {
      if (!started) {
        // The first message has no type byte.
        const length = bytes.length < 4 ? undefined : bytes.readUInt32BE(0);
        if (length === undefined || length > bytes.length) return undefined;
        started = true;
        return { length };
      }
      for (const { type, end } of messages(bytes)) {
        if (type === "Q" || type === "S") {
          const command = bytes.subarray(0, end);
          pending.push(command);
          return { length: end, command };
        }
        // Password, Terminate, Flush and the messages of COPY must not wait.
        if ("pXHcdf".includes(type)) return { length: end };
      }
      return undefined;
    },
    fromServer(bytes) {
      let first = true;
      for (const { type, end } of messages(bytes)) {
        if (type === "Z") {
          const command = ready ? pending.shift() : undefined;
          ready = true;
          return { length: end, command };
        }
        // A notification, a notice or a changed parameter may come between two replies.
        if (!ready || (first && "ANS".includes(type)) || "GHW".includes(type)) return { length: end };
        first = false;
      }
      return undefined;
    },
  };
}

function* messages(bytes: Buffer): Generator<{ type: string; end: number }> {
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 1 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) return;
    yield { type: String.fromCharCode(bytes[at] ?? 0), end };
    at = end;
  }
}
