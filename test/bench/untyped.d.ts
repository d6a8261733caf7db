// better-sqlite3-session-store has no types.

declare module "better-sqlite3-session-store" {
  import type { Database } from "better-sqlite3";
  import type { Store } from "express-session";

  interface SqliteStore extends Omit<Store, "all"> {
    all(
      callback: (error: unknown, rows: readonly { readonly sid: string; readonly sess: string }[]) => void,
    ): void;
  }

  export default function store(
    session: unknown,
  ): new (options: {
    readonly client: Database;
    readonly expired?: { readonly clear?: boolean; readonly intervalMs?: number };
  }) => SqliteStore & Store;
}
