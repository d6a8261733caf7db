import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { NewSession, SessionRecord } from "@tenure/core";
import type { Backend } from "./backend.ts";
import { Unclear } from "./unclear.ts";
import type { Random } from "./seed.ts";

/** The backend, and what distinguishes one attempt at a sentence from the others. */
interface Attempt extends Backend {
  readonly random: Random;
  readonly seed: number;
  /** How long earlier attempts took, milliseconds. */
  readonly tried: number;
  /** A short timeout, milliseconds: long enough for a few calls on this machine. */
  readonly pace: number;
}

/** Passed to one attempt at a sentence. */
export interface Scene extends Attempt {
  /** An id that nothing else uses. */
  readonly id: () => string;
  /** A user that nothing else uses. */
  readonly user: () => string;
  /** Returns the input of a create, with a new id and, by default, a lifetime of a day. */
  readonly fresh: (given?: Partial<NewSession>) => NewSession;
  /** Creates a session and resolves to its record. */
  readonly stored: (given?: Partial<NewSession>) => Promise<SessionRecord>;
  /** Makes a call between two readings of the store's clock. */
  readonly timed: <Result>(call: () => Promise<Result>) => Promise<Timed<Result>>;
  /** The same for a call that proves nothing unless it has its result before an instant. */
  readonly inTime: <Result>(instant: number, call: () => Promise<Result>) => Promise<Timed<Result>>;
  /** Waits until the store's clock has reached an instant. */
  readonly reached: (instant: number) => Promise<void>;
}

export interface Timed<Result> {
  readonly result: Result;
  /** The store's clock before the call. */
  readonly from: number;
  /** The store's clock after the result. */
  readonly to: number;
}

export const HOUR: number = 60 * 60 * 1000;
export const DAY: number = 24 * HOUR;

/** Milliseconds. With a sound store, no sentence waits for an instant further away. */
const LONGEST_WAIT = 2 * 60 * 1000;

export function openScene(attempt: Attempt): Scene {
  const { store } = attempt;
  const scene: Scene = {
    ...attempt,
    id: () => `id-${randomUUID()}`,
    user: () => `user-${randomUUID()}`,
    fresh: (given = {}) => ({
      id: scene.id(),
      userId: null,
      data: '{"a":1}',
      idle: HOUR,
      lifetime: DAY,
      ...given,
    }),
    async stored(given) {
      const session = scene.fresh(given);
      const isShort = Math.min(session.idle, session.lifetime) < HOUR;
      const from = isShort ? await store.now() : 0;
      assert.equal(await store.create(session), "created", "create of a new id");
      const record = await store.read(session.id);
      if (!record && isShort && (await store.now()) >= from + Math.min(session.idle, session.lifetime)) {
        throw new Unclear("a session was dead before it could be read");
      }
      assert.ok(record, "a session that was just created is live");
      return record;
    },
    async timed(call) {
      const from = await store.now();
      const result = await call();
      return { result, from, to: await store.now() };
    },
    async inTime(instant, call) {
      const made = await scene.timed(call);
      if (made.to >= instant) throw new Unclear("a call came too late");
      return made;
    },
    async reached(instant) {
      for (;;) {
        const left = instant - (await store.now());
        if (left <= 0) return;
        assert.ok(
          left < LONGEST_WAIT,
          `an instant that should be near is ${left} ms away on the store's clock`,
        );
        await sleep(left);
      }
    },
  };
  return scene;
}
