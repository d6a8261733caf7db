import type { Context, Outcome } from "../command.ts";

export async function sweep({ terminal, backend }: Context): Promise<Outcome> {
  using progress = terminal.progress("sweeping", null);
  const { swept, text } = await backend.sweep();
  progress[Symbol.dispose]();
  terminal.result({ swept }, text);
  return 0;
}
