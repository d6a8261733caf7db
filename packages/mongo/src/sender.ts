import type { ClientSession, Collection } from "mongodb";
import type { Stored } from "./document.ts";
import { isReplyLost } from "./failure.ts";
import type { Handle } from "./handle.ts";

/** Sends commands to the collection, in the application's transaction if there is one. */
export interface Sender {
  readonly sessions: Collection<Stored>;
  /** Options that every command gets. */
  readonly joining: { readonly session?: ClientSession; readonly readPreference?: "primary" };
  /** Sends a command that may be sent twice, and sends it again if its reply may have been lost. */
  readonly sent: <Reply>(command: () => Promise<Reply>) => Promise<Reply>;
  readonly inTransaction: () => boolean;
}

/** @param clientSession runs every command, whether it is in a transaction or not */
export function senderOn({ sessions, limitCommand }: Handle, clientSession?: ClientSession): Sender {
  const inTransaction = (): boolean => clientSession?.inTransaction() ?? false;
  return {
    sessions,
    // A transaction's read preference overrides the handle's, and must be the primary.
    joining: clientSession === undefined ? {} : { session: clientSession, readPreference: "primary" },
    sent(command) {
      return limitCommand(
        command().catch((error: unknown) => {
          // A transaction can only be repeated as a whole.
          if (inTransaction() || !isReplyLost(error)) throw error;
          return command();
        }),
      );
    },
    inTransaction,
  };
}
