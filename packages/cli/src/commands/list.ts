import type { ListedSession } from "@tenure/core";
import { type Context, type Outcome, sessionsOf } from "../command.ts";
import { instant, printable, table } from "../table.ts";

export async function list(
  { terminal, backend }: Context,
  userId: string,
  { data: withData }: { readonly data: boolean },
): Promise<Outcome> {
  const sessions = await sessionsOf(backend).listForUser(userId);
  const shown = sessions.map(({ data, ...facts }) => (withData ? { ...facts, data } : facts));
  terminal.result(shown, sessions.length === 0 ? "No live sessions." : text(sessions, withData));
  return 0;
}

function text(sessions: readonly ListedSession[], withData: boolean): string {
  const rows = sessions.map(({ id, authenticatedAt, touchedAt, expiresAt, endsAt }) => [
    id,
    ...[authenticatedAt, touchedAt, expiresAt, endsAt].map(instant),
  ]);
  const facts = table(["id", "logged in", "last use", "ends if idle", "ends at the latest"], rows);
  if (!withData) return facts;
  const data = sessions.map(({ id, data: own }) => {
    const shown = own === null ? "cannot be read: it is encoded or protected by the application" : json(own);
    return `${id}\n${shown}`;
  });
  return [facts, ...data].join("\n\n");
}

function json(data: object): string {
  return JSON.stringify(data, null, 2).split("\n").map(printable).join("\n");
}
