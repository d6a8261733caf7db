import type { Context, Outcome } from "../command.ts";

/** Deletes what has expired, where the server does not do that by itself. */
export async function sweep({ terminal, backend }: Context): Promise<Outcome> {
  using progress = terminal.progress("sweeping", null);
  const { swept, text } = await backend.sweep();
  progress[Symbol.dispose]();
  terminal.result({ swept }, text);
  return 0;
}
