import type { Context, Outcome } from "../command.ts";

export async function migrate({ terminal, backend }: Context): Promise<Outcome> {
  const text = await backend.migrate();
  terminal.result({ store: backend.label, message: text }, text);
  return 0;
}
