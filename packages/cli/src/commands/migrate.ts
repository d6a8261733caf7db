import type { Context, Outcome } from "../command.ts";

/** Creates or updates the store's schema. */
export async function migrate({ terminal, backend }: Context): Promise<Outcome> {
  const text = await backend.migrate();
  terminal.result({ store: backend.label, message: text }, text);
  return 0;
}
