import assert from "node:assert/strict";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { assertWithin } from "../assertions.ts";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { Unclear } from "../unclear.ts";
import { together } from "../race.ts";
import { DAY, HOUR, type Scene } from "../scene.ts";

export const expiry: Chapter = {
  title: "1. Expiry is exact",
  sentences: {
    "read and listUser return a session until its expiresAt, and not from then on (ASVS 7.3.1)": (scene) =>
      lookClosely(scene, async () => {
        const { pace, random } = scene;
        const { expiring, call } = await createExpiring(
          scene,
          [0, 1, 2, 3].map((n) => pace + 20 * n),
        );
        const start = random.below(100) / 100;
        const watches = expiring.map((session, n) =>
          // A read and its two clock readings take three calls. The watches are staggered and overlap.
          watch(scene, session, 30 + 3 * call * (2 + (start + n) / expiring.length)),
        );
        return { verdicts: await Promise.all(watches), call };
      }),

    "a touch succeeds until expiresAt, and returns gone from then on (ASVS 7.3.1)": (scene) =>
      lookClosely(scene, async () => {
        const { store, pace, timed } = scene;
        const { expiring, call } = await createExpiring(
          scene,
          Array.from({ length: 16 }, () => pace),
        );
        // A touch and its two clock readings take three calls. The first touches end before the session does,
        // and the last ones begin after it.
        const [first, last] = [-30 - 3 * call, 12];
        const touchAt = async ({ id, expiresAt, near }: Expiring, n: number): Promise<Verdict> => {
          await near(expiresAt + first + (n / (expiring.length - 1)) * (last - first));
          const { result, from, to } = await timed(() => store.update(id, {}));
          if (to < expiresAt) assert.equal(result, "updated", `at ${to} of ${expiresAt}`);
          if (from >= expiresAt) assert.equal(result, "gone", `at ${from} of ${expiresAt}`);
          return {
            before: to < expiresAt ? expiresAt - to : Infinity,
            after: from >= expiresAt ? from - expiresAt : Infinity,
          };
        };
        const touches = expiring.map((session, n) =>
          touchAt(session, n).catch((error: unknown): Verdict => {
            if (!isStoreError(error)) throw error;
            return { before: Infinity, after: Infinity };
          }),
        );
        return { verdicts: await Promise.all(touches), call };
      }),

    "read returns null for an expired session, in every process": async ({
      store,
      other,
      stored,
      reached,
      pace,
    }) => {
      const { id, expiresAt } = await stored({ idle: pace });
      await reached(expiresAt);
      assert.equal(await store.read(id), null);
      assert.equal(await other.read(id), null);
    },

    "no update revives an expired session (ASVS 7.3.1)": async ({
      store,
      other,
      stored,
      user,
      reached,
      pace,
    }) => {
      const userId = user();
      const changes = [
        {},
        { data: "late" },
        { userId },
        { userId: null },
        { idle: DAY },
        { lifetime: 2 * DAY },
        { touch: false },
        { authenticatedAt: await store.now() },
        { data: "late", ifVersion: 1 },
      ];
      const expired = await Promise.all(changes.map(() => stored({ userId, idle: pace })));
      await reached(Math.max(...expired.map(({ expiresAt }) => expiresAt)));
      for (const [index, change] of changes.entries()) {
        const { id } = expired[index]!;
        assert.equal(await store.update(id, change), "gone", JSON.stringify(change));
        assert.equal(await other.read(id), null);
      }
      assert.deepEqual(await store.listUser(userId), []);
    },

    "a session expires whatever was written last (ASVS 7.3.1)": async (scene) => {
      const { store, other, stored, user, reached, inTime, pace } = scene;
      const changes = [
        {},
        { data: "last" },
        { userId: user() },
        { userId: null },
        { idle: pace },
        { lifetime: DAY },
        { authenticatedAt: await store.now() },
        { touch: false },
        { ifVersion: 1 },
      ];
      const written = changes.map(async (change) => {
        const { id, expiresAt } = await stored({ userId: user(), idle: pace });
        const update = await inTime(expiresAt, () => store.update(id, change));
        assert.equal(update.result, "updated", JSON.stringify(change));
        return { id, change, until: update.to + pace };
      });
      const sessions = await together(written);
      await reached(Math.max(...sessions.map(({ until }) => until)));
      for (const { id, change } of sessions) {
        assert.equal(await other.read(id), null, `after ${JSON.stringify(change)}`);
        assert.equal(await store.update(id, {}), "gone", `after ${JSON.stringify(change)}`);
      }
    },

    "an expired session is in no result, even if nothing has read it since": async (scene) => {
      const { store, stored, user, reached, pace } = scene;
      const users = { listed: user(), ended: user() };
      const sessions = await Promise.all(
        [users.listed, users.ended, null].map((userId) => stored({ userId, idle: pace })),
      );
      await reached(Math.max(...sessions.map(({ expiresAt }) => expiresAt)));
      assert.deepEqual(await store.listUser(users.listed), []);
      assert.equal(await store.revokeUser(users.ended), 0);
      assert.equal(await store.revoke(sessions[2]!.id), false);
    },

    "a session in use outlives the expiresAt that it had (ASVS 7.3.1)": async (scene) => {
      const { store, other, stored, reached, inTime, pace } = scene;
      const { id, expiresAt, idle } = await stored({ idle: pace });
      let until = expiresAt;
      for (let uses = 1; uses <= 4; uses += 1) {
        await reached(until - idle / 2);
        const touch = await inTime(until, () => (uses % 2 ? store : other).update(id, {}));
        assert.equal(touch.result, "updated");
        until = touch.from + idle;
      }
      const read = await inTime(until, () => store.read(id));
      assert.ok(read.result);
      assert.ok(read.from >= expiresAt);
    },

    "an update without idle restarts the stored idle timeout": async ({ store, stored, reached, user }) => {
      const before = await stored({ idle: 2 * HOUR });
      for (const changes of [{}, { data: "new" }, { userId: user() }, { touch: true }, { ifVersion: 3 }]) {
        const { touchedAt } = (await store.read(before.id))!;
        await reached(touchedAt + 5);
        assert.equal(await store.update(before.id, changes), "updated");
        const record = await store.read(before.id);
        assert.ok(record && record.touchedAt > touchedAt, `${JSON.stringify(changes)} is a use`);
        assert.equal(record.idle, 2 * HOUR);
        assert.equal(record.expiresAt, record.touchedAt + 2 * HOUR);
      }
    },

    "a new idle timeout, longer or shorter, applies immediately and from then on": async (scene) => {
      const { store, stored } = scene;
      const { id } = await stored({ idle: HOUR });
      for (const idle of [2 * HOUR, HOUR / 2, 1_234_567]) {
        for (const changes of [{ idle }, {}, { data: "new" }]) {
          assert.equal(await store.update(id, changes), "updated");
          const record = await store.read(id);
          assert.equal(record?.idle, idle, JSON.stringify(changes));
          assert.equal(record.expiresAt, record.touchedAt + idle, JSON.stringify(changes));
        }
      }
    },

    "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)": async (scene) => {
      const { store, other, stored, timed, inTime, reached, pace } = scene;
      const { id } = await stored({ idle: HOUR });
      const change = await timed(() => store.update(id, { idle: pace }));
      assert.equal(change.result, "updated");
      const read = await inTime(change.from + pace, () => store.read(id));
      assert.ok(read.result);
      await reached(read.result.expiresAt);
      assert.equal(await store.read(id), null);
      assert.equal(await other.update(id, {}), "gone");
    },

    "a session whose idle timeout was lengthened lives by the new one": async (scene) => {
      const { store, stored, inTime, reached, pace } = scene;
      const { id, expiresAt } = await stored({ idle: pace });
      const change = await inTime(expiresAt, () => store.update(id, { idle: HOUR }));
      assert.equal(change.result, "updated");
      await reached(expiresAt + 10);
      assert.ok(await store.read(id));
    },

    "an update with touch false is not a use: it restarts nothing": async (scene) => {
      const { store, other, stored, reached, user } = scene;
      const userId = user();
      const before = await stored();
      await reached(before.touchedAt + 20);
      for (const [changes, version] of [
        [{ touch: false }, 1],
        [{ touch: false, data: "new" }, 2],
        [{ touch: false, userId }, 3],
        [{ touch: false, authenticatedAt: await store.now() }, 4],
        [{ touch: false, ifVersion: 4 }, 4],
        [{ touch: false, ifVersion: 4, data: "new" }, 5],
        [{ touch: false, userId: null }, 6],
      ] as const) {
        assert.equal(await store.update(before.id, changes), "updated");
        const record = await other.read(before.id);
        assert.deepEqual(
          [record?.touchedAt, record?.expiresAt, record?.endsAt, record?.version],
          [before.touchedAt, before.expiresAt, before.endsAt, version],
          JSON.stringify(changes),
        );
      }
      assert.deepEqual((await store.read(before.id))?.data, "new");
      const use = await scene.timed(() => store.update(before.id, { touch: true }));
      assertWithin((await other.read(before.id))?.touchedAt, use, "touchedAt");
    },

    "a new idle timeout with touch false counts from the last use": async (scene) => {
      const { store, other, stored, reached } = scene;
      const { id, touchedAt } = await stored({ idle: HOUR });
      await reached(touchedAt + 20);
      assert.equal(await store.update(id, { idle: 2 * HOUR, touch: false }), "updated");
      const record = await other.read(id);
      assert.deepEqual([record?.touchedAt, record?.expiresAt], [touchedAt, touchedAt + 2 * HOUR]);
      assert.equal(await store.update(id, { idle: 10, touch: false }), "updated");
      assert.equal(await other.read(id), null, "it has been idle for longer");
    },
  },
};

interface Verdict {
  /** How long before `expiresAt` the session was last seen alive, milliseconds. */
  readonly before: number;
  /** How long after `expiresAt` the session was first seen dead, milliseconds. */
  readonly after: number;
}

interface Expiring {
  readonly id: string;
  readonly userId: string;
  readonly expiresAt: number;
  /** Waits until about an instant of the store's clock. Calling the clock would take too long. */
  readonly near: (instant: number) => Promise<void>;
}

/** Creates a session for each idle timeout. `call` is about how long a call takes now, milliseconds. */
async function createExpiring(
  { stored, user }: Scene,
  idles: readonly number[],
): Promise<{ readonly expiring: readonly Expiring[]; readonly call: number }> {
  let call = Infinity;
  const create = async (idle: number): Promise<Expiring> => {
    const began = performance.now();
    const userId = user();
    const { id, createdAt, expiresAt } = await stored({ userId, idle });
    const took = performance.now() - began;
    // `stored` made three calls.
    call = Math.min(call, took / 3);
    const near = async (instant: number): Promise<void> => {
      await sleep(Math.max(0, began + took / 2 + (instant - createdAt) - performance.now()));
    };
    return { id, userId, expiresAt, near };
  };
  const expiring = await Promise.all(idles.map(create));
  return { expiring, call };
}

/** Reads and lists a session repeatedly around its end, both at once, so that no look leaves out either. */
async function watch(
  { store, timed }: Scene,
  { id, userId, expiresAt, near }: Expiring,
  lead: number,
): Promise<Verdict> {
  await near(expiresAt - lead);
  let before = Infinity;
  for (;;) {
    const { result, from, to } = await timed(() =>
      together<unknown>([store.read(id), store.listUser(userId).then(([listed]) => listed ?? null)]),
    );
    for (const [call, record] of Object.entries({ read: result[0], listUser: result[1] })) {
      if (to < expiresAt) assert.ok(record, `${call}: dead at ${to}, though it expires at ${expiresAt}`);
      if (from >= expiresAt) {
        assert.equal(record, null, `${call}: alive at ${from}, though it expired at ${expiresAt}`);
      }
    }
    if (to < expiresAt) before = expiresAt - to;
    if (from >= expiresAt) return { before, after: from - expiresAt };
    await turn();
  }
}

interface Look {
  readonly verdicts: readonly Verdict[];
  /** About how long a call took, milliseconds. */
  readonly call: number;
}

/**
 * Takes looks until one saw the session close to its end. Slow calls are less precise, so they get several
 * looks, and after `PATIENCE` any look suffices.
 */
async function lookClosely({ latency, tried, pace }: Scene, look: () => Promise<Look>): Promise<void> {
  const least = latency < 3 ? 1 : 6;
  const looks: Look[] = [];
  while (looks.length < least) looks.push(await look());
  const verdicts = looks.flatMap((one) => one.verdicts);
  const before = Math.min(...verdicts.map((verdict) => verdict.before));
  const after = Math.min(...verdicts.map((verdict) => verdict.after));
  if ((before > CLOSE || after > CLOSE) && tried < PATIENCE) {
    const call = Math.min(...looks.map((one) => one.call));
    throw new Unclear("nothing was seen close to the end", { tooSlow: 6 * call > pace });
  }
}

/** Milliseconds. */
const CLOSE = 12;
const PATIENCE = 15_000;
