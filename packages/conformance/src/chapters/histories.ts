import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionChanges, SessionStore } from "@tenure/core";
import * as fc from "fast-check";
import { assertOldestFirst } from "../assertions.ts";
import { isStoreError } from "../backend.ts";
import type { Chapter } from "../chapter.ts";
import { type Call, type Fences, fencesAfter, type Result, type State, statesAfter } from "../model.ts";
import { together } from "../race.ts";
import { DAY, HOUR, type Scene, type Timed } from "../scene.ts";

export const histories: Chapter = {
  title: "Whole histories",
  sentences: {
    "every result of any sequence of calls and waits is one that the contract allows": async (scene) => {
      // Sixteen histories run concurrently, because they mostly wait.
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
        // Only a replay shrinks a failing history.
        endOnFailure: process.env["TENURE_SEED"] === undefined,
      });
      if (failed) throw errorInstance;
    },
  },
};

/** What the model knows: the fences, and for each id every state that the results so far allow. */
class History {
  readonly ids: readonly string[];
  readonly users: readonly string[];
  readonly states: State[][];
  fences: Fences = {};
  /** Whether a call rejected, so that the states are unknown. */
  isOver = false;
  /** The store's clock after the last call. Absent after a wait. */
  #clock: number | undefined;
  readonly #log: string[] = [];

  constructor({ id, user }: Scene) {
    this.ids = [id(), id(), id()];
    this.users = [user(), user()];
    this.states = this.ids.map(() => ["none"]);
  }

  /**
   * Makes a call between two readings of the store's clock. The reading after one call is also the one before
   * the next.
   */
  async timed<Made>({ store }: Scene, call: () => Promise<Made>): Promise<Timed<Made>> {
    const from = this.#clock ?? (await store.now());
    const result = await call();
    const to = await store.now();
    this.#clock = to;
    return { result, from, to };
  }

  async wait(duration: number): Promise<void> {
    await sleep(duration);
    this.#clock = undefined;
  }

  judge(index: number, call: Call, { result, from, to }: Timed<Result>): void {
    this.#log.push(`${from}–${to} session ${index}: ${JSON.stringify(call)} → ${JSON.stringify(result)}`);
    const before = this.states[index]!;
    const given = { during: [from, to], fences: this.fences } as const;
    const after = before.flatMap((state) => statesAfter(state, call, result, given));
    assert.ok(
      after.length > 0,
      `The contract does not allow this result. The states before were ${JSON.stringify(before)}:\n${this.#log.join("\n")}`,
    );
    this.states[index] = [...new Map(after.map((state) => [JSON.stringify(state), state])).values()];
  }

  /** `revokeUser` returns how many sessions it ended, not which. */
  judgeRevokeUser(
    userId: string,
    { except, authenticatedUpTo }: { except: number | undefined; authenticatedUpTo: number | undefined },
    { result: count, from, to }: Timed<number>,
  ): void {
    this.#log.push(
      `${from}–${to} revokeUser ${userId} except ${except} up to ${authenticatedUpTo} → ${count}`,
    );
    const given = { during: [from, to], fences: this.fences } as const;
    const call = {
      on: "revokeUser",
      userId,
      ...(authenticatedUpTo === undefined ? {} : { authenticatedUpTo }),
    } as const;
    const next = this.states.map((states, index) => {
      const [ended, left] = [true, false].map((result) =>
        states.flatMap((state) => statesAfter(state, { ...call, excepted: index === except }, result, given)),
      );
      return { ended: ended!, left: left! };
    });
    this.fences = fencesAfter(this.fences, { ...call, excepted: false }, [from, to]);
    const least = next.filter(({ left }) => left.length === 0).length;
    const most = next.filter(({ ended }) => ended.length > 0).length;
    assert.ok(
      least <= count && count <= most,
      `revokeUser may return ${least} to ${most}:\n${this.#log.join("\n")}`,
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
  // When the login began, relative to the call. An hour is the tombstone minimum.
  const login = fc.constantFrom(0, -short, -4 * short, -HOUR, -2 * HOUR, HOUR);
  const data = fc.constantFrom("a", "b", "");
  const changes = fc.record(
    { data, user, idle, lifetime, login, touch: fc.boolean(), ifVersion: fc.constantFrom(1, 1, 2, 3) },
    { requiredKeys: [] },
  );
  return [
    fc
      .record({ by, index, user, idle, lifetime, login: fc.option(login, { nil: undefined }), data })
      .map((given) =>
        command("create", given, async (history, scene) => {
          const session = {
            id: history.ids[given.index]!,
            userId: given.user === null ? null : history.users[given.user]!,
            data: given.data,
            idle: given.idle,
            lifetime: given.lifetime,
            ...(given.user === null ? {} : await loginAt(scene, given.login)),
          };
          const made = await history.timed(scene, () => storeOf(scene, given.by).create(session));
          history.judge(given.index, { on: "create", session }, made);
        }),
      ),
    fc.record({ by, index, changes }).map((given) =>
      command("update", given, async (history, scene) => {
        const { user: userIndex, login: offset, ...rest } = given.changes;
        const made = {
          ...rest,
          ...(userIndex === undefined
            ? {}
            : { userId: userIndex === null ? null : history.users[userIndex]! }),
          ...(userIndex === null ? {} : await loginAt(scene, offset)),
        };
        await update(history, scene, given, made);
      }),
    ),
    fc
      .record({ by, index })
      .map((given) => command("touch", given, (history, scene) => update(history, scene, given, {}))),
    ...(["read", "revoke"] as const).map((on) =>
      fc.record({ by, index }).map((given) =>
        command(on, given, async (history, scene) => {
          const id = history.ids[given.index]!;
          const made = await history.timed<Result>(scene, () => storeOf(scene, given.by)[on](id));
          history.judge(given.index, { on }, made);
        }),
      ),
    ),
    fc
      .record({
        by,
        user: fc.nat(1),
        except: fc.option(index, { nil: undefined }),
        upTo: fc.constantFrom(undefined, undefined, 0, -short, -2 * short, -2 * HOUR),
      })
      .map((given) =>
        command("revokeUser", given, async (history, scene) => {
          const userId = history.users[given.user]!;
          const { except, upTo } = given;
          const authenticatedUpTo = upTo === undefined ? undefined : (await scene.store.now()) + upTo;
          const made = await history.timed(scene, () =>
            storeOf(scene, given.by).revokeUser(userId, {
              ...(except === undefined ? {} : { except: history.ids[except]! }),
              ...(authenticatedUpTo === undefined ? {} : { authenticatedUpTo }),
            }),
          );
          history.judgeRevokeUser(userId, { except, authenticatedUpTo }, made);
        }),
      ),
    fc.record({ by, user: fc.nat(1) }).map((given) =>
      command("listUser", given, async (history, scene) => {
        const userId = history.users[given.user]!;
        const made = await history.timed(scene, () => storeOf(scene, given.by).listUser(userId));
        for (const [at, id] of history.ids.entries()) {
          const listed = made.result.find((record) => record.id === id) ?? null;
          history.judge(at, { on: "listUser", userId }, { ...made, result: listed });
        }
        assert.ok(
          made.result.length <= history.ids.length,
          "listUser has no session twice, and none of another user",
        );
        assertOldestFirst(made.result);
      }),
    ),
    fc
      .constantFrom(short / 4, short / 2, short, 2 * short)
      .map((duration) => command("wait", { duration }, (history) => history.wait(duration))),
  ];
}

async function loginAt({ store }: Scene, offset: number | undefined): Promise<{ authenticatedAt?: number }> {
  return offset === undefined ? {} : { authenticatedAt: (await store.now()) + offset };
}

async function update(
  history: History,
  scene: Scene,
  { by, index }: { readonly by: boolean; readonly index: number },
  changes: SessionChanges,
): Promise<void> {
  const id = history.ids[index]!;
  const made = await history.timed(scene, () => storeOf(scene, by).update(id, changes));
  history.judge(index, { on: "update", changes }, made);
}

function command(
  name: string,
  given: object,
  run: (history: History, scene: Scene) => Promise<void>,
): Command {
  return {
    check: (history) => !history.isOver,
    async run(history, scene) {
      try {
        await run(history, scene);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        history.isOver = true;
      }
    },
    toString: () => `${name} ${JSON.stringify(given)}`,
  };
}

function storeOf({ store, other }: Scene, by: boolean): SessionStore {
  return by ? store : other;
}
