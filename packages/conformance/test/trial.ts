import type { StoreUnderTest } from "../src/index.ts";
import { testStore } from "../src/index.ts";

/** Runs the suite against a store, all sentences together, and answers what failed, by sentence. */
export async function trial(underTest: StoreUnderTest, only: RegExp = /^/): Promise<Map<string, unknown>> {
  const sentences: { name: string; body: () => Promise<void> }[] = [];
  testStore(
    {
      describe: (_name, _options, body) => {
        body();
      },
      test: (name, _options, body) => {
        if (only.test(name)) sentences.push({ name, body });
      },
    },
    underTest,
  );
  const failed = new Map<string, unknown>();
  await Promise.all(
    sentences.map(({ name, body }) =>
      body().catch((error: unknown) => {
        failed.set(name, error);
      }),
    ),
  );
  return failed;
}

/** Every failure in one line each, for a store that should have none. */
export async function failuresOf(underTest: StoreUnderTest): Promise<string[]> {
  const failed = await trial(underTest);
  return [...failed].map(([sentence, error]) => `${sentence}: ${String(error)}`);
}
