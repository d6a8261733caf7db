import { hearWarnings } from "@tenure/watched-store/warnings";
import { onTestFinished } from "vitest";

/** Collects Tenure's warnings until the test is over, and prints none. Returns their codes so far, sorted. */
export function warningsHeard(): () => Promise<string[]> {
  const heard = hearWarnings();
  onTestFinished(() => heard[Symbol.dispose]());
  return async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return heard.codes.toSorted();
  };
}
