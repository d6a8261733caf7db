import type { Context, Outcome } from "../command.ts";

/** Deletes expired rows, unless the server or the store does that itself. */
export async function sweep({ terminal, backend }: Context): Promise<Outcome> {
  using progress = terminal.progress("sweeping", null);
  const { swept, text } = await backend.sweep();
  progress[Symbol.dispose]();
  terminal.result({ swept }, text);
  return 0;
}
