import { hearWarnings } from "@tenure/store-wrappers/warnings";
import { onTestFinished } from "vitest";

/**
 * Collects the codes of Tenure's warnings until the test is over, and keeps warnings from being printed. The
 * returned function resolves to the codes so far, sorted.
 */
export function collectWarnings(): () => Promise<string[]> {
  const heard = hearWarnings();
  onTestFinished(() => heard[Symbol.dispose]());
  return async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return heard.codes.toSorted();
  };
}
