import { type Context, type Outcome, sessionsOf } from "../command.ts";
import { UsageError } from "../usage-error.ts";

export async function revoke({ terminal, backend }: Context, id: string): Promise<Outcome> {
  assertId(id);
  if (!(await terminal.confirms(`End the session ${id} on ${backend.label}?`))) return declined(terminal);
  const ended = await sessionsOf(backend).revokeById(id);
  terminal.result(
    { ended },
    ended ? "Ended." : "It was not alive. From now on, nothing can be stored under this id.",
  );
  return 0;
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

export function declined(terminal: Context["terminal"]): Outcome {
  terminal.note("Nothing was done.");
  return 1;
}
