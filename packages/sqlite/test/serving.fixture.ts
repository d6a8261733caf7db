/**
 * A process with a store on the file in its argument. It makes its parent's calls and returns their outcomes.
 */
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "@tenure/core";
import { sqliteStore } from "@tenure/sqlite";
import type { CallMessage, ReplyMessage } from "./other-process.ts";

const store = sqliteStore(new DatabaseSync(process.argv[2]!));

async function replyTo({ method, args }: CallMessage): Promise<Omit<ReplyMessage, "call">> {
  try {
    if (method === "scan") return { result: await Array.fromAsync(store.scan()) };
    const call = store[method] as (...args: unknown[]) => Promise<unknown>;
    return { result: await call(...args) };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: { name, message, operation: error instanceof StoreError ? error.operation : undefined } };
  }
}

process.on("message", (message: CallMessage) => {
  void replyTo(message).then((reply) =>
    process.send!({ ...reply, call: message.call } satisfies ReplyMessage),
  );
});
process.on("disconnect", () => process.exit());
process.send!({ call: -1, result: "ready" } satisfies ReplyMessage);
