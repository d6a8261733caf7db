import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionRecord, SessionStore } from "@tenure/core";
import * as fc from "fast-check";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { type Answer, type Call, type State, statesAfter } from "../model.ts";
import { together } from "../race.ts";
import { DAY, HOUR, type Scene } from "../scene.ts";

export const histories: Chapter = {
  title: "Whole histories",
  sentences: {
    "any sequence of calls and waits is answered as the contract says": async (scene) => {
      // Side by side, so that their waits pass together. Where calls are slow, fewer.
      const several = fc.array(fc.commands(commandsFor(scene), { maxCommands: 30, size: "max" }), {
        minLength: 16,
        maxLength: 16,
      });
      const property = fc.asyncProperty(several, async (all) => {
        await together(
          all.map((commands) =>
            fc.asyncModelRun(() => ({ model: new History(scene), real: scene }), commands),
          ),
        );
      });
      const { failed, errorInstance } = await fc.check(property, {
        seed: scene.seed,
        numRuns: scene.latency < 20 ? 6 : 2,
        // A replay shrinks what it finds.
        endOnFailure: process.env["TENURE_SEED"] === undefined,
      });
      if (failed) throw errorInstance;
    },
  },
};

/** What the model knows: of each id, every state that the answers so far allow. */
class History {
  readonly ids: readonly string[];
  readonly users: readonly string[];
  readonly states: State[][];
  /** A call was rejected: nobody knows what followed. */
  over = false;
  readonly #log: string[] = [];

  constructor({ id, user }: Scene) {
    this.ids = [id(), id(), id()];
    this.users = [user(), user()];
    this.states = this.ids.map(() => ["none"]);
  }

  /** Judges what was answered for one id. */
  answered(index: number, call: Call, answer: Answer, from: number, to: number): void {
    this.#log.push(`${from}–${to} session ${index}: ${JSON.stringify(call)} → ${JSON.stringify(answer)}`);
    const before = this.states[index]!;
    const after = before.flatMap((state) => statesAfter(state, call, answer, from, to));
    assert.ok(
      after.length > 0,
      `No store may answer so; before it was ${JSON.stringify(before)}:\n${this.#log.join("\n")}`,
    );
    this.states[index] = [...new Map(after.map((state) => [JSON.stringify(state), state])).values()];
  }

  /** `revokeUser` tells how many it ended, not which. */
  ended(count: number, userId: string, except: number | undefined, from: number, to: number): void {
    this.#log.push(`${from}–${to} revokeUser ${userId} except ${except} → ${count}`);
    const next = this.states.map((states, index) => {
      const call = { on: "revokeUser", userId, excepted: index === except } as const;
      const [ended, left] = [true, false].map((answer) =>
        states.flatMap((state) => statesAfter(state, call, answer, from, to)),
      );
      return { ended: ended!, left: left! };
    });
    const least = next.filter(({ left }) => left.length === 0).length;
    const most = next.filter(({ ended }) => ended.length > 0).length;
    assert.ok(
      least <= count && count <= most,
      `revokeUser may say ${least} to ${most}:\n${this.#log.join("\n")}`,
    );
    for (const [index, { ended, left }] of next.entries()) {
      if (least === most) this.states[index] = left.length === 0 ? ended : left;
      else this.states[index] = [...ended, ...left];
    }
  }
}

type Command = fc.AsyncCommand<History, Scene>;

function commandsFor({ pace }: Scene): fc.Arbitrary<Command>[] {
  const short = Math.round(pace / 2);
  const index = fc.nat(2);
  const by = fc.boolean();
  const user = fc.option(fc.nat(1), { nil: null });
  const idle = fc.constantFrom(short, 2 * short, HOUR);
  const lifetime = fc.constantFrom(2 * short, 3 * short, DAY);
  const age = fc.constantFrom(undefined, undefined, -HOUR, short, DAY);
  const data = fc.constantFrom("a", "b", "");
  const changes = fc.record(
    { data, user, idle, ifVersion: fc.constantFrom(1, 1, 2, 3) },
    { requiredKeys: [] },
  );
  return [
    fc.record({ by, index, user, idle, lifetime, age, data }).map((given) =>
      command("create", given, async (history, scene) => {
        const now = await scene.store.now();
        const createdAt = given.age === undefined ? {} : { createdAt: now - given.age };
        const session = {
          id: history.ids[given.index]!,
          userId: given.user === null ? null : history.users[given.user]!,
          data: given.data,
          idle: given.idle,
          lifetime: given.lifetime,
          ...createdAt,
        };
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).create(session));
        history.answered(given.index, { on: "create", session }, answer, from, to);
      }),
    ),
    fc.record({ by, index, changes }).map((given) =>
      command("update", given, async (history, scene) => {
        const { user: userIndex, ...rest } = given.changes;
        const userId =
          userIndex === undefined ? {} : { userId: userIndex === null ? null : history.users[userIndex]! };
        const made = { ...rest, ...userId };
        const id = history.ids[given.index]!;
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).update(id, made));
        history.answered(given.index, { on: "update", changes: made }, answer, from, to);
      }),
    ),
    fc.record({ by, index }).map((given) =>
      command("touch", given, async (history, scene) => {
        const id = history.ids[given.index]!;
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).update(id, {}));
        history.answered(given.index, { on: "update", changes: {} }, answer, from, to);
      }),
    ),
    fc.record({ by, index }).map((given) =>
      command("read", given, async (history, scene) => {
        const id = history.ids[given.index]!;
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).read(id));
        history.answered(given.index, { on: "read" }, answer, from, to);
      }),
    ),
    fc.record({ by, index }).map((given) =>
      command("revoke", given, async (history, scene) => {
        const id = history.ids[given.index]!;
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).revoke(id));
        history.answered(given.index, { on: "revoke" }, answer, from, to);
      }),
    ),
    fc.record({ by, user: fc.nat(1), except: fc.option(index, { nil: undefined }) }).map((given) =>
      command("revokeUser", given, async (history, scene) => {
        const userId = history.users[given.user]!;
        const options = given.except === undefined ? undefined : { except: history.ids[given.except]! };
        const { answer, from, to } = await scene.timed(() =>
          storeOf(scene, given.by).revokeUser(userId, options),
        );
        history.ended(answer, userId, given.except, from, to);
      }),
    ),
    fc.record({ by, user: fc.nat(1) }).map((given) =>
      command("listUser", given, async (history, scene) => {
        const userId = history.users[given.user]!;
        const { answer, from, to } = await scene.timed(() => storeOf(scene, given.by).listUser(userId));
        for (const [at, id] of history.ids.entries()) {
          const listed = answer.find((record) => record.id === id) ?? null;
          history.answered(at, { on: "listUser", userId }, listed, from, to);
        }
        assert.ok(answer.length <= history.ids.length, "no doubles, and no other sessions");
        assertOldestFirst(answer);
      }),
    ),
    fc.constantFrom(short / 4, short / 2, short, 2 * short).map((duration) =>
      command("wait", { duration }, async () => {
        await sleep(duration);
      }),
    ),
  ];
}

function command(
  name: string,
  given: object,
  run: (history: History, scene: Scene) => Promise<void>,
): Command {
  return {
    check: (history) => !history.over,
    async run(history, scene) {
      try {
        await run(history, scene);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        history.over = true;
      }
    },
    toString: () => `${name} ${JSON.stringify(given)}`,
  };
}

function storeOf({ store, other }: Scene, by: boolean): SessionStore {
  return by ? store : other;
}

function assertOldestFirst(listed: readonly SessionRecord[]): void {
  const created = listed.map(({ createdAt }) => createdAt);
  assert.deepEqual(
    created,
    created.toSorted((a, b) => a - b),
    "oldest first",
  );
}
