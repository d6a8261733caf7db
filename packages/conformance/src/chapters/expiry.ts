import assert from "node:assert/strict";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { SessionRecord } from "@tenure/core";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { Unclear } from "../unclear.ts";
import { rounds } from "../race.ts";
import { DAY, HOUR, type Scene } from "../scene.ts";

export const expiry: Chapter = {
  title: "1. Expiry is exact",
  sentences: {
    "read answers a session until its expiresAt, and null from then on (ASVS 7.3.1)": async (scene) => {
      const { born, pace } = scene;
      const watches = await Promise.all(
        [0, 1, 2, 3].map(async (n) => watch(scene, await born({ idle: pace + 20 * n }))),
      );
      assertClose(scene, watches);
    },

    "a touch is made until expiresAt, and gone from then on (ASVS 7.3.1)": async (scene) => {
      const { store, born, pace, timed, reached } = scene;
      const touchAt = async (n: number): Promise<Verdict> => {
        const { id, expiresAt } = await born({ idle: pace });
        await reached(expiresAt - 24 + 2 * n);
        const { answer, from, to } = await timed(() => store.update(id, {}));
        if (to < expiresAt) assert.equal(answer, "updated", `at ${to} of ${expiresAt}`);
        if (from >= expiresAt) assert.equal(answer, "gone", `at ${from} of ${expiresAt}`);
        return {
          before: to < expiresAt ? expiresAt - to : Infinity,
          after: from >= expiresAt ? from - expiresAt : Infinity,
        };
      };
      const verdicts = await Promise.all(
        Array.from({ length: 16 }, async (_, n) =>
          touchAt(n).catch((error: unknown): Verdict => {
            if (!isStoreError(error)) throw error;
            return { before: Infinity, after: Infinity };
          }),
        ),
      );
      assertClose(scene, verdicts);
    },

    "an expired session is null to read, in every process": async ({ store, other, born, reached, pace }) => {
      const { id, expiresAt } = await born({ idle: pace });
      await reached(expiresAt);
      assert.equal(await store.read(id), null);
      assert.equal(await other.read(id), null);
    },

    "no update revives an expired session (ASVS 7.3.1)": async ({
      store,
      other,
      born,
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
        { data: "late", ifVersion: 1 },
      ];
      const expired = await Promise.all(changes.map(() => born({ userId, idle: pace })));
      await reached(Math.max(...expired.map(({ expiresAt }) => expiresAt)));
      for (const [index, change] of changes.entries()) {
        const { id } = expired[index]!;
        assert.equal(await store.update(id, change), "gone");
        assert.equal(await other.read(id), null);
      }
      assert.deepEqual(await store.listUser(userId), []);
    },

    "an expired session is in no answer, though nobody looked at it before": async (scene) => {
      const { store, born, user, reached, pace } = scene;
      const users = { listed: user(), ended: user() };
      const sessions = await Promise.all(
        [users.listed, users.ended, null].map((userId) => born({ userId, idle: pace })),
      );
      await reached(Math.max(...sessions.map(({ expiresAt }) => expiresAt)));
      assert.deepEqual(await store.listUser(users.listed), []);
      assert.equal(await store.revokeUser(users.ended), 0);
      assert.equal(await store.revoke(sessions[2]!.id), false);
    },

    "a session in use outlives the expiresAt that it had (ASVS 7.3.1)": async (scene) => {
      const { store, other, born, reached, timed, pace } = scene;
      const { id, expiresAt, idle } = await born({ idle: pace });
      let until = expiresAt;
      for (let uses = 1; uses <= 4; uses += 1) {
        await reached(until - idle / 2);
        const touch = await timed(() => (uses % 2 ? store : other).update(id, {}));
        if (touch.to >= until) throw new Unclear("the touch came too late");
        assert.equal(touch.answer, "updated");
        until = touch.from + idle;
      }
      const read = await timed(() => store.read(id));
      if (read.to >= until) throw new Unclear("the read came too late");
      assert.ok(read.answer);
      assert.ok(read.from >= expiresAt);
    },

    "an update without idle restarts the idle timeout that is stored": async ({
      store,
      born,
      reached,
      user,
    }) => {
      const before = await born({ idle: 2 * HOUR });
      for (const changes of [{}, { data: "new" }, { userId: user() }, { ifVersion: 3 }]) {
        const { touchedAt } = (await store.read(before.id))!;
        await reached(touchedAt + 5);
        assert.equal(await store.update(before.id, changes), "updated");
        const record = await store.read(before.id);
        assert.ok(record && record.touchedAt > touchedAt);
        assert.equal(record.idle, 2 * HOUR);
        assert.equal(record.expiresAt, record.touchedAt + 2 * HOUR);
      }
    },

    "a new idle timeout, longer or shorter, is in force at once and from then on": async (scene) => {
      const { store, born } = scene;
      const { id } = await born({ idle: HOUR });
      for (const idle of [2 * HOUR, HOUR / 2, 1_234_567]) {
        for (const changes of [{ idle }, {}, { data: "new" }]) {
          assert.equal(await store.update(id, changes), "updated");
          const record = await store.read(id);
          assert.equal(record?.idle, idle);
          assert.equal(record.expiresAt, record.touchedAt + idle);
        }
      }
    },

    "a session whose idle timeout was shortened dies by the new one (ASVS 7.3.1)": async (scene) => {
      const { store, other, born, timed, reached, pace } = scene;
      const { id } = await born({ idle: HOUR });
      const change = await timed(() => store.update(id, { idle: pace }));
      assert.equal(change.answer, "updated");
      const read = await timed(() => store.read(id));
      if (read.to >= change.from + pace) throw new Unclear("the read came too late");
      assert.ok(read.answer);
      await reached(read.answer.expiresAt);
      assert.equal(await store.read(id), null);
      assert.equal(await other.update(id, {}), "gone");
    },

    "a session whose idle timeout was lengthened lives by the new one": async (scene) => {
      const { store, born, timed, reached, pace } = scene;
      const { id, expiresAt } = await born({ idle: pace });
      const change = await timed(() => store.update(id, { idle: HOUR }));
      if (change.to >= expiresAt) throw new Unclear("the update came too late");
      assert.equal(change.answer, "updated");
      await reached(expiresAt + 10);
      assert.ok(await store.read(id));
    },

    "a session once seen dead is dead for ever, though touches race with its end (ASVS 7.3.1)": async (
      scene,
    ) => {
      let telling = 0;
      await rounds(scene, 16, async ({ store, other, born, reached, pace, latency, user }, random) => {
        const userId = user();
        const { id, expiresAt } = await born({ idle: pace, userId });
        // In the order in which calls begin and are answered, as this process saw it.
        let step = 0;
        const failures: unknown[] = [];
        const seen: { began: number; answered: number; alive: boolean }[] = [];
        const look = async (call: () => Promise<boolean>): Promise<void> => {
          const began = (step += 1);
          try {
            const alive = await call();
            seen.push({ began, answered: (step += 1), alive });
          } catch (error) {
            // Not an answer: whoever was rejected was told neither.
            if (!isStoreError(error)) failures.push(error);
          }
        };
        const looks = [
          async () => (await store.read(id)) !== null,
          async () => (await other.read(id)) !== null,
          async () => (await store.listUser(userId)).length > 0,
        ];
        const touches = [
          async () => (await store.update(id, {})) === "updated",
          async () => (await other.update(id, { data: "late" })) === "updated",
        ];
        // One that is made in time ends the round alive; one that waits inside the store shows only if it began in time.
        const touching = touches.slice(random.below(4) % 3).map(async (touch) => {
          await reached(expiresAt - Math.ceil(latency) - 32 + random.below(36));
          await look(touch);
        });
        const looking = async (): Promise<void> => {
          await reached(expiresAt - 5);
          const begun: Promise<void>[] = [];
          while (begun.length < 60 && (await store.now()) < expiresAt + 40 + 2 * latency) {
            begun.push(look(random.pick(looks)));
            await sleep(random.below(2));
          }
          await Promise.all(begun);
        };
        await Promise.all([...touching, looking()]);
        for (const last of looks) await look(last);
        assert.deepEqual(failures, []);
        const dead = Math.min(...seen.filter(({ alive }) => !alive).map(({ answered }) => answered));
        const revived = seen.filter(({ alive, began }) => alive && began > dead);
        assert.deepEqual(revived, [], "alive after it was seen dead");
        if (dead < Infinity && seen.some(({ alive }) => alive)) telling += 1;
      });
      if (telling === 0 && scene.tried < PATIENCE) {
        throw new Unclear("no round saw the end itself", { tooSlow: false });
      }
    },
  },
};

interface Verdict {
  /** How long before `expiresAt` it was last shown to be alive, milliseconds. */
  readonly before: number;
  /** How long after `expiresAt` it was first shown to be dead, milliseconds. */
  readonly after: number;
}

/** Reads again and again around the end of a session. */
async function watch({ store, timed, reached }: Scene, { id, expiresAt }: SessionRecord): Promise<Verdict> {
  await reached(expiresAt - 30);
  let before = Infinity;
  for (;;) {
    const { answer, from, to } = await timed(() => store.read(id));
    if (to < expiresAt) {
      assert.ok(answer, `dead at ${to}, though it expires at ${expiresAt}`);
      before = expiresAt - to;
    }
    if (from >= expiresAt) {
      assert.equal(answer, null, `alive at ${from}, though it expired at ${expiresAt}`);
      return { before, after: from - expiresAt };
    }
    await turn();
  }
}

/** Where calls are slow, the end can't be seen as sharply: after some time, that has to do. */
function assertClose({ tried }: Scene, verdicts: readonly Verdict[]): void {
  const before = Math.min(...verdicts.map((verdict) => verdict.before));
  const after = Math.min(...verdicts.map((verdict) => verdict.after));
  if ((before > CLOSE || after > CLOSE) && tried < PATIENCE) {
    throw new Unclear("nothing was seen close to the end", { tooSlow: false });
  }
}

/** Milliseconds. */
const CLOSE = 12;
const PATIENCE = 15_000;
