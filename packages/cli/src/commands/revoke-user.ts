import { type Context, numberOfSessions, type Outcome, sessionsOf } from "../command.ts";
import { printable } from "../table.ts";
import { declined } from "./revoke.ts";

export async function revokeUser({ terminal, backend }: Context, userId: string): Promise<Outcome> {
  const question = `Log the user ${printable(userId)} out everywhere on ${backend.label}?`;
  if (!(await terminal.confirms(question))) return declined(terminal);
  let ended: number;
  {
    using _ = terminal.progress("ending sessions", null);
    ended = await sessionsOf(backend).revokeAllForUser(userId);
  }
  terminal.result(
    { ended },
    `Ended ${numberOfSessions(ended)}. Logins of this user that began earlier are refused.`,
  );
  return 0;
}
