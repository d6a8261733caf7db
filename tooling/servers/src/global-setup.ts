import { type Desk, openDesk } from "./desk.ts";

/**
 * vitest's globalSetup of every project that names `@tenure/servers` among its devDependencies (../../../vitest.config.ts).
 * Each project loads modules of its own, so the desk they share is kept on `globalThis`.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const shelf = globalThis as { tenureDesk?: { desk: Promise<Desk>; users: number } };
  const kept = (shelf.tenureDesk ??= { desk: openDesk(), users: 0 });
  kept.users += 1;
  await kept.desk;
  return async () => {
    kept.users -= 1;
    if (kept.users > 0) return;
    delete shelf.tenureDesk;
    await (await kept.desk).close();
  };
}
