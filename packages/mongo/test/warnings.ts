import type { TestContext } from "vitest";

/** Collects the warnings about one collection until the test ends. Other tests run at the same time. */
export function collectWarnings(namespace: string, { onTestFinished }: TestContext): string[] {
  const warnings: string[] = [];
  const onWarning = (warning: Error & { code?: string }): void => {
    if (warning.code === "TENURE_MONGO_INDEX" && warning.message.startsWith(namespace)) {
      warnings.push(warning.message);
    }
  };
  process.on("warning", onWarning);
  onTestFinished(() => void process.off("warning", onWarning));
  return warnings;
}

/** Waits for the next turn of the event loop, in which warnings are emitted. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
