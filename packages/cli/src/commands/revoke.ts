import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type Context, type Outcome, sessionsOf } from "../command.ts";
import { printable } from "../table.ts";
import { UsageError } from "../usage-error.ts";

export async function revoke({ terminal, backend }: Context, id: string): Promise<Outcome> {
  assertId(id);
  return confirmed(terminal, `End the session ${id} on ${backend.label}?`, async () => {
    const ended = await sessionsOf(backend).revokeById(id);
    terminal.result(
      { ended },
      ended ? "Ended." : "It was not alive. From now on, nothing can be stored under this id.",
    );
  });
}

export async function revokeUser({ terminal, backend }: Context, userId: string): Promise<Outcome> {
  const question = `Log the user ${printable(userId)} out everywhere on ${backend.label}?`;
  return confirmed(terminal, question, async () => {
    const ended = await terminal.progress("ending sessions", null, () =>
      sessionsOf(backend).revokeAllForUser(userId),
    );
    terminal.result(
      { ended },
      `Ended ${numberOfSessions(ended)}. Logins of this user that began earlier are refused.`,
    );
  });
}

/** If the scan fails, such as at its end for a damaged record, prints what was ended before it rejects. */
export async function revokeAll({ terminal, backend }: Context): Promise<Outcome> {
  return confirmed(terminal, `End EVERY session of EVERYBODY on ${backend.label}?`, async () => {
    let ended = 0;
    try {
      await terminal.progress("ending sessions", await backend.estimate(), async (progress) => {
        const count = (): void => {
          ended += 1;
          progress.add(1);
        };
        subscribe("tenure:revoked", count);
        try {
          await sessionsOf(backend).revokeEveryone();
        } finally {
          unsubscribe("tenure:revoked", count);
        }
      });
    } catch (error) {
      if (ended > 0) terminal.result({ ended }, `Ended ${numberOfSessions(ended)}, but not all.`);
      throw error;
    }
    terminal.result(
      { ended },
      `Ended ${numberOfSessions(ended)}. A login during this command may have survived: run it again if that matters.`,
    );
  });
}

async function confirmed(
  terminal: Context["terminal"],
  question: string,
  action: () => Promise<void>,
): Promise<Outcome> {
  if (await terminal.confirms(question)) {
    await action();
    return 0;
  }
  terminal.note("Nothing was done.");
  return 1;
}

function assertId(id: string): void {
  if (/^(?:[\w-]{22}|[\w-]{43})$/.test(id)) return;
  const isToken = /^[\w-]+\.[\w-]{43}$/.test(id);
  throw new UsageError(
    isToken
      ? "This is a token, which is a secret: give only its part before the dot"
      : "This is not a session id: an id has 22 or 43 characters, as shown by tenure list",
  );
}

function numberOfSessions(count: number): string {
  return count === 1 ? "1 session" : `${count} sessions`;
}
