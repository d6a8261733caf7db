import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type SessionStore, StoreError } from "@tenure/core";
import { canStart, startMongo } from "@tenure/servers";
import type { MongoClient } from "mongodb";
import { expect, test } from "vitest";
import { mongoStore } from "../src/index.ts";
import { connect, newCollection } from "./clients.ts";
import { newSession } from "./sessions.ts";

const own = await canStart("mongo");

/** A killed container does not close its connections, so a client without limits would wait for ever. */
const LIMITS = { connectTimeoutMS: 2000, socketTimeoutMS: 3000, serverSelectionTimeoutMS: 5000 };

/**
 * The total number of kills, each during about 50 writes. They catch a store that acknowledges a write 400 ms
 * too early, and did not catch one that is 10 ms early. A round takes as long as the server needs to start,
 * so several servers share the rounds.
 */
const ROUNDS = Number(process.env["TENURE_KILL_ROUNDS"] || 12);
const SERVERS = Math.min(2, ROUNDS);

own.describe("A MongoDB that is killed with SIGKILL during writes", { concurrent: true }, () => {
  for (let number = 0; number < SERVERS; number += 1) {
    const rounds = Math.floor(ROUNDS / SERVERS) + (number < ROUNDS % SERVERS ? 1 : 0);
    test(
      `keeps every acknowledged create, save, revoke and revokeUser through ${rounds} kills (server ${number + 1})`,
      { timeout: (rounds + 1) * 60_000 },
      async ({ annotate }) => {
        await using server = await startMongo();
        const { dbName, collectionName } = await newCollection(connect(server.url));
        const open = (): { client: MongoClient; store: SessionStore } => {
          const client = connect(server.url, LIMITS);
          return { client, store: mongoStore(client.db(dbName).collection(collectionName)) };
        };
        let acknowledged = 0;
        for (let round = 0; round < rounds; round += 1) {
          const before = open();
          const writers = Array.from({ length: 16 }, () => new Writer());
          let killed = false;
          const writing = writers.map((writer) => writer.write(before.store, () => killed));
          await Promise.race([
            Promise.all(writing),
            until(() => sum(writers.map(({ count }) => count)) > 50),
          ]);
          await sleep(50 * Math.random());
          await server.kill();
          killed = true;
          await server.start();
          await Promise.all(writing);
          // Not awaited: the driver (6.9 to 7.9) may still wait for the `drain` of a closed socket, and
          // close() waits for that.
          before.client.close().catch(() => undefined);
          const after = open();
          await Promise.all(writers.map((writer) => writer.verify(after.store)));
          acknowledged += sum(writers.map(({ count }) => count));
          await after.client.close();
        }
        expect(acknowledged).toBeGreaterThan(rounds * 10);
        await annotate(`${acknowledged} acknowledged writes over ${rounds} kills`);
      },
    );
  }
});

/** Writes sessions of one user, and records the acknowledged writes. A call that failed may have happened. */
class Writer {
  readonly #userId = randomUUID();
  readonly #alive = new Map<string, { version: number; data: string }>();
  readonly #dead = new Set<string>();
  /** The ids of the call in flight, or of the call that failed. */
  #uncertain: readonly string[] = [];
  /** How many writes were acknowledged. */
  count = 0;

  async write(store: SessionStore, killed: () => boolean): Promise<void> {
    try {
      while (!killed()) await this.#writeOne(store);
    } catch (error) {
      assert.ok(error instanceof StoreError);
    }
  }

  async #writeOne(store: SessionStore): Promise<void> {
    const id = randomUUID();
    const session = newSession({ id, userId: this.#userId });
    await this.#acknowledged([id], store.create(session), "created");
    this.#alive.set(id, { version: 1, data: session.data });
    await this.#acknowledged([], store.update(id, {}), "updated");
    await this.#acknowledged([id], store.update(id, { data: id }), "updated");
    this.#alive.set(id, { version: 2, data: id });
    if (this.count % 3 === 0) {
      await this.#acknowledged([id], store.revoke(id), true);
      this.#markDead([id]);
    }
    if (this.count % 10 === 0) {
      const all = [...this.#alive.keys()];
      await this.#acknowledged(all, store.revokeUser(this.#userId), all.length);
      this.#markDead(all);
    }
  }

  async #acknowledged(ids: readonly string[], call: Promise<unknown>, result: unknown): Promise<void> {
    this.#uncertain = ids;
    assert.equal(await call, result);
    this.#uncertain = [];
    this.count += 1;
  }

  #markDead(ids: readonly string[]): void {
    for (const id of ids) {
      this.#alive.delete(id);
      this.#dead.add(id);
    }
  }

  /** Checks that every acknowledged write is there. */
  async verify(store: SessionStore): Promise<void> {
    for (const id of this.#uncertain) this.#alive.delete(id);
    const listed = new Set((await store.listUser(this.#userId)).map(({ id }) => id));
    for (const [id, known] of this.#alive) {
      const record = await store.read(id);
      assert.deepEqual({ version: record?.version, data: record?.data }, known);
      assert.ok(listed.has(id));
    }
    for (const id of this.#dead) {
      assert.equal(await store.read(id), null);
      assert.ok(!listed.has(id));
      assert.equal(await store.create(newSession({ id })), "taken", "the tombstone is missing");
    }
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
