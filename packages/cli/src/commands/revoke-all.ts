import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type Context, numberOfSessions, type Outcome, sessionsOf } from "../command.ts";
import { declined } from "./revoke.ts";

export async function revokeAll({ terminal, backend }: Context): Promise<Outcome> {
  const question = `End EVERY session of EVERYBODY on ${backend.label}?`;
  if (!(await terminal.confirms(question))) return declined(terminal);
  let ended: number;
  {
    using progress = terminal.progress("ending sessions", await backend.estimate());
    const count = (): void => progress.add(1);
    subscribe("tenure:revoked", count);
    try {
      ended = await sessionsOf(backend).revokeEveryone();
    } finally {
      unsubscribe("tenure:revoked", count);
    }
  }
  terminal.result(
    { ended },
    `Ended ${numberOfSessions(ended)}. A login during this command may have survived: run it again if that matters.`,
  );
  return 0;
}
