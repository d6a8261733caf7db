import { type Backend, isStoreError } from "./backend.ts";
import { withNote } from "./note.ts";
import { openScene, type Scene } from "./scene.ts";
import { randomFor } from "./seed.ts";
import { Unclear } from "./unclear.ts";

/** A promise of the contract. Each key is a test's name; its value rejects if that sentence is false. */
export interface Chapter {
  readonly title: string;
  readonly sentences: Readonly<Record<string, Sentence>>;
}

export type Sentence = (scene: Scene) => Promise<void>;

/**
 * Runs a sentence until it is clear whether it holds, each time with new ids. An attempt in which the store
 * rejected proves nothing, because the outcome is unknown. After an attempt that was too slow, the timeouts
 * double.
 */
export async function perform(
  name: string,
  sentence: Sentence,
  backend: () => Promise<Backend>,
  seed: number,
): Promise<void> {
  const opened = await backend();
  const began = performance.now();
  let pace = SHORTEST_PACE;
  let rejections = 0;
  for (let attempt = 0; ; attempt += 1) {
    try {
      const random = randomFor(seed, `${name} ${attempt}`);
      const tried = performance.now() - began;
      return await sentence(openScene({ ...opened, random, seed, tried, pace }));
    } catch (error) {
      if (!(error instanceof Unclear || isStoreError(error))) {
        throw withNote(error, `(replay with TENURE_SEED=${seed})`);
      }
      if (isStoreError(error)) rejections += 1;
      if (rejections > MOST_REJECTIONS || performance.now() - began > LONGEST) {
        throw new Error(`Still unclear after ${attempt + 1} attempts: ${error.message}`, { cause: error });
      }
      if (error instanceof Unclear && error.tooSlow) pace = Math.min(2 * pace, LONGEST_PACE);
    }
  }
}

/** Milliseconds. */
const SHORTEST_PACE = 250;
const LONGEST_PACE = 16_000;
const LONGEST = 500_000;
const MOST_REJECTIONS = 50;
