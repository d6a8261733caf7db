import { copyFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { migrate, sqliteStore } from "@tenure/sqlite";
import BetterSqlite3 from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { newFiles } from "./files.ts";
import { type Transaction, watched } from "./watched.ts";

const MILLION = 1_000_000;
/** How many of the sessions belong to one user. */
const MANY = 10_000;
const HOUR = 3_600_000;
/** The most milliseconds that a transaction may work, without its commit to the disk. */
const LONG = 10;
const newFile = newFiles();

const drivers = {
  "node:sqlite": (file: string) => new DatabaseSync(file),
  "better-sqlite3": (file: string) => new BetterSqlite3(file),
};

describe.each(Object.entries(drivers))("on %s, at a million sessions", (name, connect) => {
  test(`no turn of the event loop works for more than ${LONG} ms: calls, listUser, scan, revokeUser of 10,000, sweeping`, async () => {
    const file = newFile();
    copyFileSync(await (filled ??= filledFile()), file);
    const database = connect(file);
    let transactions: Transaction[] = [];
    const store = sqliteStore(watched(database, (one) => transactions.push(one)));
    await store.read("warm");

    async function during(what: string, act: () => Promise<unknown>): Promise<void> {
      transactions = [];
      const began = performance.now();
      await act();
      const took = performance.now() - began;
      const [wall, work] = (["took", "worked"] as const).map((field) =>
        of(transactions.map((one) => one[field])),
      );
      console.log(
        `${name}, ${what}: ${transactions.length} transactions in ${took.toFixed()} ms; each ${shown(wall!)}, of which it worked ${shown(work!)}`,
      );
      // On a busy machine, one in a hundred stalls, and is slower afterwards.
      expect(work!.most).toBeLessThan(LONG);
    }

    await during("64 reads together", () => rounds((at) => store.read(`session ${at}`)));
    await during("64 touches together", () => rounds((at) => store.update(`session ${at}`, {})));
    const data = "y".repeat(900);
    await during("64 updates together", () => rounds((at) => store.update(`session ${at}`, { data })));
    await during("64 logins together", () =>
      rounds((at) =>
        store.create({ id: `new ${at}`, userId: `user ${at}`, data, idle: HOUR, lifetime: HOUR }),
      ),
    );
    await during("listUser of 10,000", async () => expect(await store.listUser("many")).toHaveLength(MANY));
    await during("scan", async () => {
      let found = 0;
      for await (const { id } of store.scan()) found += id === "" ? 0 : 1;
      expect(found).toBeGreaterThanOrEqual(MILLION);
    });
    await during("revokeUser of 10,000", async () => expect(await store.revokeUser("many")).toBe(MANY));
    database.exec("update tenure_sessions set expires_at = 1, sweep_at = 1 where n % 10 = 0");
    await during("64 writes together that sweep", async () => {
      for (let round = 0; round < 500; round += 1) await together((at) => store.update(`nobody ${at}`, {}));
    });
    database.close();
  }, 900_000);
});

/** Milliseconds: of half of the transactions, of 99 in 100, and the longest. */
interface Times {
  readonly median: number;
  readonly most: number;
  readonly longest: number;
}

function of(times: readonly number[]): Times {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (times.length - 1))]!;
  return { median: at(0.5), most: at(0.99), longest: at(1) };
}

function shown({ median, most, longest }: Times): string {
  return `${median.toFixed(1)} ms (99 % under ${most.toFixed(1)}, longest ${longest.toFixed(1)})`;
}

async function rounds(call: (at: number) => Promise<unknown>): Promise<void> {
  for (let round = 0; round < 50; round += 1) await together(() => call(Math.floor(Math.random() * MILLION)));
}

async function together(call: (at: number) => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: 64 }, (_, at) => call(at)));
}

let filled: Promise<string> | undefined;

/** The sessions have 0.9 KB each. Their ids are not in the order of the table. */
async function filledFile(): Promise<string> {
  const file = newFile();
  const database = new DatabaseSync(file);
  await migrate(database);
  const now = Date.now();
  // With the usual 2 MB cache, pages of the index on ids, which grows at random places, are read and written
  // repeatedly.
  database.exec("pragma synchronous = off; pragma cache_size = -200000; begin");
  database.exec(`
    insert into tenure_sessions (id, user_id, authenticated_at, version, created_at, touched_at, idle, ends_at, expires_at, sweep_at, data)
    with recursive counted(i) as (select 0 union all select i + 1 from counted where i < ${MILLION - 1})
    select 'session ' || (i * 7919 % ${MILLION}), iif(i % 100 = 0, 'many', 'user ' || i / 10), ${now}, 1, ${now}, ${now}, ${HOUR}, ${now + HOUR}, ${now + HOUR}, ${now + HOUR} + i % 1000,
      printf('%.900c', 'x')
    from counted`);
  database.exec("commit");
  database.close();
  return file;
}
