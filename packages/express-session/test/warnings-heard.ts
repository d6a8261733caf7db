import { onTestFinished } from "vitest";

/** Collects Tenure's warnings until the test is over, and prints none. Returns their codes so far, sorted. */
export function warningsHeard(): () => Promise<string[]> {
  const heard: string[] = [];
  const listen = (warning: Error & { readonly code?: string }): void => {
    if (warning.name === "TenureWarning") heard.push(warning.code ?? "");
  };
  const printing = process.listeners("warning");
  process.removeAllListeners("warning");
  process.on("warning", listen);
  onTestFinished(() => {
    process.off("warning", listen);
    for (const print of printing) process.on("warning", print);
  });
  return async () => {
    await new Promise((resolve) => setImmediate(resolve));
    return heard.toSorted();
  };
}
