import type { TestContext } from "vitest";

/** The warnings about one collection; others run at the same time. */
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

/** Warnings are emitted in the next turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
