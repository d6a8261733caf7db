import assert from "node:assert/strict";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@tenure/core";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import type { Answer, Call } from "../model.ts";
import { hasOrder, type Observed } from "../order.ts";
import { rounds } from "../race.ts";
import { HOUR, type Scene } from "../scene.ts";
import type { Random } from "../seed.ts";

export const races: Chapter = {
  title: "A call counts at one instant between call and answer",
  sentences: {
    "concurrent calls of one session have an order that explains every answer": (scene) =>
      rounds(scene, 150, async (_, random) => {
        const { store, other, fresh, timed } = scene;
        const { clients, users } = planOf(random, scene);
        const id = fresh().id;
        const history: Observed[] = [];
        let step = 0;
        const client = async (by: SessionStore, calls: readonly Planned[]): Promise<void> => {
          for (const { call, pause, spread } of calls) {
            if (pause === 1) await Promise.resolve();
            if (pause === 2) await turn();
            if (pause === 3) await sleep(spread * 2 * scene.latency);
            const began = (step += 1);
            const outcome = await make(by, id, call);
            history.push({ call, ...outcome, began, ended: (step += 1) });
          }
        };
        const { from, to } = await timed(() =>
          Promise.all(clients.map((calls, index) => client(index % 2 ? other : store, calls))),
        );
        // Asked last: what it all came to.
        const last: Call[] = [{ on: "read" }, ...users.map((userId): Call => ({ on: "listUser", userId }))];
        await client(
          store,
          last.map((call) => ({ call, pause: 0, spread: 0 })),
        );
        assert.ok(hasOrder(history, from, to), `no order explains\n${describeHistory(history)}`);
      }),
  },
};

interface Planned {
  readonly call: Call;
  /** None, a microtask, a turn of the event loop, or some time; from 4 on none. */
  readonly pause: number;
  /** Of the time that a call takes and as much again, from 0 to 1. */
  readonly spread: number;
}

interface Plan {
  /** What each of three clients calls in turn. */
  readonly clients: readonly (readonly Planned[])[];
  readonly users: readonly string[];
}

function planOf(random: Random, { user, fresh }: Scene): Plan {
  const users = [user(), user()];
  const session = fresh({ userId: random.pick([...users, null]) });
  let written = 0;
  const update = (): Call => {
    const changes = random.pick([
      {},
      { data: `${(written += 1)}` },
      { data: `${(written += 1)}`, ifVersion: 1 + random.below(3) },
      { userId: random.pick([...users, null]) },
      { data: `${(written += 1)}`, userId: random.pick(users) },
      { idle: HOUR + random.below(1000) },
    ]);
    return { on: "update", changes };
  };
  const kinds: readonly (() => Call)[] = [
    update,
    update,
    update,
    () => ({ on: "read" }),
    () => ({ on: "listUser", userId: random.pick(users) }),
    () => ({ on: "revoke" }),
    () => ({ on: "revokeUser", userId: random.pick(users), excepted: random.below(3) === 0 }),
    () => ({ on: "create", session }),
  ];
  const clients = [0, 1, 2].map((client) =>
    Array.from({ length: 4 }, (_, n): Planned => {
      const call: Call = client === 0 && n === 0 ? { on: "create", session } : random.pick(kinds)();
      return { call, pause: random.below(6), spread: random.below(100) / 100 };
    }),
  );
  return { clients, users };
}

async function make(
  store: SessionStore,
  id: string,
  call: Call,
): Promise<{ answer: Answer; rejected: boolean }> {
  try {
    return { answer: await answerOf(store, id, call), rejected: false };
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return { answer: undefined, rejected: true };
  }
}

async function answerOf(store: SessionStore, id: string, call: Call): Promise<Answer> {
  switch (call.on) {
    case "create":
      return store.create({ ...call.session, id });
    case "read":
      return store.read(id);
    case "update":
      return store.update(id, call.changes);
    case "revoke":
      return store.revoke(id);
    case "revokeUser": {
      const count = await (call.excepted
        ? store.revokeUser(call.userId, { except: id })
        : store.revokeUser(call.userId));
      assert.ok(count === 0 || count === 1, `revokeUser ended ${count} of one session`);
      return count === 1;
    }
    default: {
      const listed = await store.listUser(call.userId);
      assert.ok(listed.length <= 1, `listUser answered ${listed.length} of one session`);
      return listed[0] ?? null;
    }
  }
}

function describeHistory(history: readonly Observed[]): string {
  return history
    .toSorted((a, b) => a.began - b.began)
    .map(({ began, ended, call, rejected, answer }) => {
      return `${began}–${ended} ${JSON.stringify(call)} → ${rejected ? "rejected" : JSON.stringify(answer)}`;
    })
    .join("\n");
}
