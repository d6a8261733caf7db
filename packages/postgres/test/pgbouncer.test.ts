import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { testStore } from "@tenure/conformance";
import { migrate, postgresStore } from "@tenure/postgres";
import { freePort, server } from "@tenure/servers";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { poolsOn } from "./pools.ts";
import { newSession } from "./sessions.ts";

const postgres = await server("postgres");
const PGBOUNCER = "pgbouncer";
const version = /PgBouncer (\d+)\.(\d+)/.exec(String(spawnSync(PGBOUNCER, ["--version"]).stdout));
const installed = version !== null;
const supportsPrepared = installed && (Number(version[1]) > 1 || Number(version[2]) >= 21);
if (installed && !supportsPrepared)
  console.error(
    `!! SKIPPED: PgBouncer ${version[1]}.${version[2]} does not support prepared statements, 1.21 does`,
  );
const required = (process.env["REQUIRE_BACKENDS"] ?? "").split(",").includes("pgbouncer");
/** The README's limits, without `statement_timeout`, which PgBouncer refuses. */
const LIMITS = { connectionTimeoutMillis: 5000, query_timeout: 10_000 };
const pools = poolsOn(postgres.url);
const { table } = pools;

test.runIf(required)("PgBouncer is installed if REQUIRE_BACKENDS names it", () => {
  expect(installed).toBe(true);
});

(installed ? postgres.describe : describe.skip)("postgresStore through PgBouncer in transaction mode", () => {
  let bouncer: Bouncer;
  beforeAll(async () => {
    await pools.store();
    bouncer = await startBouncer(postgres.url);
  });
  afterAll(() => bouncer.stop());

  testStore(
    { describe, test },
    {
      // With few server connections for many client connections, consecutive statements use different
      // connections.
      open: () => postgresStore(pools.open({ connectionString: bouncer.url, ...LIMITS }), { table }),
      unreachable: null,
      mixedUp: null,
    },
  );

  test("the first calls of a store succeed even if they are concurrent", async () => {
    for (let round = 0; round < 20; round += 1) {
      const store = postgresStore(pools.open({ connectionString: bouncer.url, ...LIMITS }), { table });
      const calls = [
        store.create(newSession()),
        store.read("unknown"),
        store.update("unknown", {}),
        store.revokeUser("nobody"),
      ];
      expect(await Promise.all(calls)).toEqual(["created", null, "gone", 0]);
    }
  });

  test("if the pool sets statement_timeout, calls reject with PgBouncer's error, which names the setting", async () => {
    const pool = pools.open({ connectionString: bouncer.url, ...LIMITS, statement_timeout: 5000 });
    await expect(postgresStore(pool, { table }).read("id")).rejects.toMatchObject({
      name: "StoreError",
      cause: { message: expect.stringContaining("statement_timeout") },
    });
  });

  test("migrate works", async () => {
    const pool = pools.open({ connectionString: bouncer.url });
    const name = { table: `bounced_${process.pid}` };
    await Promise.all([migrate(pool, name), migrate(pool, name)]);
    expect(await postgresStore(pool, name).read("unknown")).toBeNull();
  });

  test("stores whose statements share server connections all get their replies", async () => {
    const stores = Array.from({ length: 6 }, () =>
      postgresStore(pools.open({ connectionString: bouncer.url }), { table }),
    );
    for (let round = 0; round < 20; round += 1) {
      const reads = stores.map((store, index) => store.read(`unknown ${round} ${index}`));
      expect(await Promise.all(reads)).toEqual(stores.map(() => null));
    }
  });

  test("a touch leaves synchronous_commit of the server connection on", async () => {
    const pool = pools.open({ connectionString: bouncer.url, max: 1 });
    const store = postgresStore(pool, { table });
    const session = newSession();
    await store.create(session);
    for (let touch = 0; touch < 20; touch += 1) {
      expect(await store.update(session.id, {})).toBe("updated");
      expect((await pool.query("show synchronous_commit")).rows).toEqual([{ synchronous_commit: "on" }]);
    }
  });
});

(supportsPrepared ? postgres.describe : describe.skip)(
  "postgresStore through a PgBouncer that supports prepared statements",
  () => {
    let bouncer: Bouncer;
    beforeAll(async () => {
      await pools.store();
      bouncer = await startBouncer(postgres.url, "max_prepared_statements = 100");
    });
    afterAll(() => bouncer.stop());

    testStore(
      { describe, test },
      {
        open: () => postgresStore(pools.open({ connectionString: bouncer.url, ...LIMITS }), { table }),
        unreachable: null,
        mixedUp: null,
      },
    );
  },
);

interface Bouncer {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

async function startBouncer(target: string, setting = ""): Promise<Bouncer> {
  const { hostname, port: serverPort, username, password, pathname } = new URL(target);
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "tenure-pgbouncer-"));
  const config = join(folder, "pgbouncer.ini");
  writeFileSync(
    config,
    `[databases]
* = host=${hostname} port=${serverPort} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
logfile = ${join(folder, "log")}
${setting}
`,
  );
  chmodSync(folder, 0o777);
  chmodSync(config, 0o644);
  // PgBouncer refuses to run as root.
  const child = spawn(PGBOUNCER, [...(process.getuid?.() === 0 ? ["-u", "nobody"] : []), config], {
    stdio: "ignore",
  });
  const url = `postgres://${username}@127.0.0.1:${port}${pathname}`;
  for (let attempts = 0; ; attempts += 1) {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    try {
      await client.connect();
      await client.end();
      break;
    } catch (error) {
      if (attempts === 100) throw error;
      await sleep(50);
    }
  }
  return {
    url,
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
