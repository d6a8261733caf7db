import assert from "node:assert/strict";
import type { SessionStore } from "@tenure/core";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { type Call, type Result, TOMBSTONE_MINIMUM } from "../model.ts";
import { hasOrder, type Observed } from "../order.ts";
import { delay, rounds } from "../race.ts";
import { DAY, HOUR, type Scene } from "../scene.ts";
import type { Random } from "../seed.ts";

export const races: Chapter = {
  title: "A call counts at one instant between its beginning and its end",
  sentences: {
    "concurrent calls of one session have an order that explains every result": (scene) =>
      rounds(scene, 150, async (_, random) => {
        const { store, other, fresh } = scene;
        const { clients, users } = planOf(random, scene);
        const id = fresh().id;
        const made: Omit<Observed, "during">[] = [];
        const samples: Sample[] = [];
        let step = 0;
        const sample = async (by: SessionStore): Promise<number> => {
          const began = (step += 1);
          const instant = await by.now();
          samples.push({ instant, began, ended: (step += 1) });
          return instant;
        };
        const client = async (by: SessionStore, calls: readonly Planned[]): Promise<void> => {
          let since = await sample(by);
          for (const { callOf, pause, spread } of calls) {
            await delay(pause, spread * 2 * scene.latency);
            const call = callOf(since);
            if (call === "now") {
              since = await sample(by);
              continue;
            }
            const began = (step += 1);
            const outcome = await make(by, id, call);
            made.push({ call, ...outcome, began, ended: (step += 1) });
          }
        };
        await Promise.all(clients.map((calls, index) => client(index % 2 ? other : store, calls)));
        const last: Call[] = [{ on: "read" }, ...users.map((userId): Call => ({ on: "listUser", userId }))];
        await client(
          store,
          last.map((call) => ({ callOf: () => call, pause: 0, spread: 0 })),
        );
        await sample(store);
        const history = made.map((one): Observed => Object.assign(one, { during: intervalOf(one, samples) }));
        assert.ok(hasOrder(history), `no order explains\n${describeHistory(history)}`);
      }),
  },
};

/** A reading of the store's clock. */
interface Sample {
  readonly instant: number;
  readonly began: number;
  readonly ended: number;
}

/**
 * Returns the latest reading that ended before a call, and the earliest that began after it. A rejected call
 * may take effect until the last reading.
 */
function intervalOf(
  { began, ended, rejected }: Omit<Observed, "during">,
  samples: readonly Sample[],
): [number, number] {
  if (rejected) ended = Math.max(...samples.map((sample) => sample.began)) - 1;
  const before = samples.filter((sample) => sample.ended < began).map(({ instant }) => instant);
  const after = samples.filter((sample) => sample.began > ended).map(({ instant }) => instant);
  return [Math.max(...before), Math.min(...after)];
}

interface Planned {
  /** @param since an earlier reading of the clock, at which a login may have begun */
  readonly callOf: (since: number) => Call | "now";
  /** The kind of {@link delay} before the call. */
  readonly pause: number;
  /** The length of the delay, as a fraction of twice the time of a call. */
  readonly spread: number;
}

interface Plan {
  /** The calls of each of three clients, in order. */
  readonly clients: readonly (readonly Planned[])[];
  readonly users: readonly string[];
}

function planOf(random: Random, { user, fresh }: Scene): Plan {
  const users = [user(), user()];
  const session = fresh({ userId: random.pick([...users, null]) });
  let written = 0;
  const kinds: readonly (() => Planned["callOf"])[] = [
    () => updateOf(random, users, `${(written += 1)}`),
    () => updateOf(random, users, `${(written += 1)}`),
    () => updateOf(random, users, `${(written += 1)}`),
    () => loginOf(random, users),
    () => () => ({ on: "read" }),
    () => () => "now",
    () => always({ on: "listUser", userId: random.pick(users) }),
    () => () => ({ on: "revoke" }),
    () => revokeUserOf(random, users),
    () => createOf(random, session),
  ];
  const clients = [0, 1, 2].map((client) =>
    Array.from({ length: 4 }, (_, n): Planned => {
      const callOf = client === 0 && n === 0 ? createOf(random, session) : random.pick(kinds)();
      return { callOf, pause: random.below(6), spread: random.below(100) / 100 };
    }),
  );
  return { clients, users };
}

function updateOf(random: Random, users: readonly string[], data: string): Planned["callOf"] {
  const changes = random.pick([
    {},
    { touch: false },
    { data },
    { data, ifVersion: 1 + random.below(3) },
    { userId: random.pick([...users, null]) },
    { data, userId: random.pick(users) },
    { idle: HOUR + random.below(1000) },
    { lifetime: DAY + random.below(1000) },
  ]);
  return always({ on: "update", changes });
}

function loginOf(random: Random, users: readonly string[]): Planned["callOf"] {
  const userId = random.pick([...users, null]);
  const age = random.pick(AGES);
  return (since) => ({
    on: "update",
    changes: { authenticatedAt: since - age, ...(userId === null ? {} : { userId }) },
  });
}

function revokeUserOf(random: Random, users: readonly string[]): Planned["callOf"] {
  const on = "revokeUser";
  const [userId, excepted] = [random.pick(users), random.below(3) === 0];
  const age = random.pick([null, null, ...AGES]);
  return (since) => ({
    on,
    userId,
    excepted,
    ...(age === null ? {} : { authenticatedUpTo: since - age }),
  });
}

function createOf(random: Random, session: ReturnType<Scene["fresh"]>): Planned["callOf"] {
  const age = session.userId === null ? null : random.pick([null, ...AGES]);
  return (since) => ({
    on: "create",
    session: { ...session, ...(age === null ? {} : { authenticatedAt: since - age }) },
  });
}

/** How long before the clock reading a login began, milliseconds. */
const AGES: readonly number[] = [0, 0, 0, 1000, 2 * TOMBSTONE_MINIMUM];

function always(call: Call): Planned["callOf"] {
  return () => call;
}

async function make(
  store: SessionStore,
  id: string,
  call: Call,
): Promise<{ result: Result; rejected: boolean }> {
  try {
    return { result: await resultOf(store, id, call), rejected: false };
  } catch (error) {
    if (!isStoreError(error)) throw error;
    return { result: undefined, rejected: true };
  }
}

async function resultOf(store: SessionStore, id: string, call: Call): Promise<Result> {
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
      const { authenticatedUpTo } = call;
      const count = await store.revokeUser(call.userId, {
        ...(call.excepted ? { except: id } : {}),
        ...(authenticatedUpTo === undefined ? {} : { authenticatedUpTo }),
      });
      assert.ok(count === 0 || count === 1, `revokeUser ended ${count} of one session`);
      return count === 1;
    }
    default: {
      const listed = await store.listUser(call.userId);
      assert.ok(listed.length <= 1, `listUser has ${listed.length} of one session`);
      return listed[0] ?? null;
    }
  }
}

function describeHistory(history: readonly Observed[]): string {
  return history
    .toSorted((a, b) => a.began - b.began)
    .map(({ began, ended, during, call, rejected, result }) => {
      const outcome = rejected ? "rejected" : JSON.stringify(result);
      return `${began}–${ended}, at ${during.join("–")}: ${JSON.stringify(call)} → ${outcome}`;
    })
    .join("\n");
}
