import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import betterSqlite3SessionStore from "better-sqlite3-session-store";
import session from "express-session";
import { type Competitor, type Contest, IDLE } from "./competitor.ts";
import { fromCallback } from "./from-callback.ts";
import type { Data } from "./session-data.ts";
import { tenure } from "./tenure.ts";

/** Set up as its README recommends, with SQLite's default journal and `synchronous = full`. */
const PEER = "better-sqlite3-session-store";
/** As durable as Tenure's changes. */
const PEER_IN_WAL = `${PEER}, WAL`;
/**
 * The default of better-sqlite3 in WAL mode. No target compares it with Tenure, because a power cut loses its
 * latest logins and logouts.
 */
const PEER_IN_WAL_NORMAL = `${PEER}, WAL, synchronous normal`;

export const sqlite: Contest = {
  async server() {
    const folder = await mkdtemp(join(tmpdir(), "tenure-bench-"));
    return {
      url: folder,
      about: `none, each store has its own file in ${tmpdir()}`,
      pid: undefined,
      stop: () => rm(folder, { recursive: true, force: true }),
    };
  },
  competitors: {
    async Tenure(folder) {
      const database = new DatabaseSync(join(folder, "tenure.db"));
      await migrate(database);
      return tenure(sqliteStore(database), async () => database.close());
    },
    [PEER]: async (folder) => peerOn(new BetterSqlite3(join(folder, "peer.db")), "full"),
    [PEER_IN_WAL]: async (folder) => peerOn(inWal(join(folder, "peer-wal.db")), "full"),
    [PEER_IN_WAL_NORMAL]: async (folder) => peerOn(inWal(join(folder, "peer-normal.db")), "normal"),
  },
  targets: [PEER, PEER_IN_WAL].flatMap((peer) => [
    { cell: "page view, C=64", peer, times: 3 },
    { cell: "mix, C=64", peer, times: 2 },
  ]),
};

function inWal(file: string): BetterSqlite3.Database {
  const database = new BetterSqlite3(file);
  database.pragma("journal_mode = wal");
  return database;
}

function peerOn(client: BetterSqlite3.Database, synchronous: "full" | "normal"): Competitor {
  // Only while the sessions are created: with `full`, 100,000 commits would wait for the disk and take
  // minutes.
  client.pragma("synchronous = off");
  const SqliteStore = betterSqlite3SessionStore(session);
  const store = new SqliteStore({ client, expired: { clear: true, intervalMs: IDLE } });
  return {
    store,
    afterPopulate: () => void client.pragma(`synchronous = ${synchronous}`),
    revocation: "store.all(), then destroy",
    async revokeUser(userId) {
      const all = await fromCallback<readonly { sid: string; sess: string }[]>((done) => store.all(done));
      const theirs = all.filter(({ sess }) => (JSON.parse(sess) as Data).userId === userId);
      for (const { sid } of theirs) store.destroy(sid);
      return theirs.length;
    },
    close: async () => client.close(),
  };
}
