import { testStore, type StoreUnderTest } from "../src/index.ts";

/**
 * Runs sentences of the suite against a store, all concurrently. Resolves to the errors of those that failed,
 * by sentence.
 */
export async function runSentences(
  underTest: StoreUnderTest,
  isChosen: (sentence: string) => boolean = () => true,
): Promise<Map<string, unknown>> {
  const failed = new Map<string, unknown>();
  await Promise.all(
    sentencesFor(underTest)
      .filter(({ name }) => isChosen(name))
      .map(({ name, body }) =>
        body().catch((error: unknown) => {
          failed.set(name, error);
        }),
      ),
  );
  return failed;
}

/** Runs every sentence of the suite against a store. Resolves to one line per failure. */
export async function failuresOf(underTest: StoreUnderTest): Promise<string[]> {
  const failed = await runSentences(underTest);
  return [...failed].map(([sentence, error]) => `${sentence}: ${String(error)}`);
}

/** Returns every sentence that the suite has for a store. */
export function sentencesFor(underTest: StoreUnderTest): { name: string; body: () => Promise<void> }[] {
  const sentences: { name: string; body: () => Promise<void> }[] = [];
  testStore(
    {
      describe: (_name, _options, body) => {
        body();
      },
      test: (name, _options, body) => {
        sentences.push({ name, body });
      },
    },
    underTest,
  );
  return sentences;
}
