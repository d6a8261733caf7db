import type { TestContext } from "vitest";

/** Collects the warnings about one collection, because other tests run at the same time. */
export function listen(namespace: string, { onTestFinished }: TestContext): string[] {
  const heard: string[] = [];
  const hear = (warning: Error & { code?: string }): void => {
    if (warning.code === "TENURE_MONGO_INDEX" && warning.message.startsWith(namespace)) {
      heard.push(warning.message);
    }
  };
  process.on("warning", hear);
  onTestFinished(() => void process.off("warning", hear));
  return heard;
}

/** Waits for the next turn of the event loop, in which warnings are emitted. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
